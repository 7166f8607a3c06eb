#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Checks an evidence bundle of Sekisho with bash (4.4 or newer), coreutils and openssl (3.0 or
# newer) alone: files, certificates, both ledgers, CRL and OCSP, permit signatures. It does not
# compute the verdicts again and judges no approval: sekisho-verify does.
#
#   bash verify.sh [--root ROOT.pem] [--checkpoint FILE] [--bundle FOLDER]
#
# ROOT.pem is the issuer's root, from the issuer; FILE a checkpoint of one of the two ledgers that
# somebody kept; FOLDER the bundle, by default the one that this script lies in. A script inside a
# bundle is as trustworthy as the bundle: use a copy that you have from elsewhere, with --bundle.
#
# Exit: 0 all holds, 1 something does not (the first such thing is named), 2 wrong usage.
set -u -o pipefail
export LC_ALL=C TZ=UTC0
unset CDPATH GLOBIGNORE SSL_CERT_FILE SSL_CERT_DIR OPENSSL_CONF
IFS=$' \t\n'
shopt -s globstar dotglob nullglob

readonly dash=$'\xe2\x80\x94'
readonly safe='^[A-Za-z0-9._/-]+$'
declare -A listed=() used=() origins=() key_ids=()
declare -a lines=() text=() level=() gate=() authority=()
root='' kept='' bundle='' agent='' period='' crl_at=0

usage() {
  printf 'verify.sh: %s\n' "$*" >&2
  printf 'usage: bash verify.sh [--root ROOT.pem] [--checkpoint FILE] [--bundle FOLDER]\n' >&2
  exit 2
}

fail() {
  printf 'FAILED        %s\n' "$*"
  exit 1
}

good() { printf '%-13s %s\n' "$1" "$2"; }

# ------------------------------------------------------------------------------- bytes and text

same_bytes() { # FILE FILE
  local -a sums
  mapfile -t sums < <(sha256sum -- "$1" "$2" 2>/dev/null)
  [[ ${#sums[@]} -eq 2 && ${sums[0]:0:64} == "${sums[1]:0:64}" ]]
}

hex_of() { # FILE: its bytes in $hex
  hex=$(od -An -v -tx1 -- "$1") || fail "$1: cannot be read"
  hex=${hex//[$' \n']/}
}

decode_base64() { # TEXT WHERE: its bytes in $work/blob, only from their one spelling
  printf '%s' "$1" | base64 -d >"$work/blob" 2>/dev/null || fail "$2: not base64"
  [[ $(base64 -w0 <"$work/blob") == "$1" ]] || fail "$2: base64 in another than its one spelling"
}

read_lines() { # FILE: its lines in $lines
  [[ -f $1 && -r $1 ]] || fail "$1: missing"
  lines=()
  mapfile -t lines <"$1"
  # Bash drops zero bytes and a missing last newline; what it dropped must not go unseen.
  { ((${#lines[@]} == 0)) || printf '%s\n' "${lines[@]}"; } >"$work/again"
  same_bytes "$1" "$work/again" || fail "$1: not text of whole lines"
}

# ---------------------------------------------------------------------------------- signed notes

read_log_key() { # gate|authority: origin and key id by name, public key in $work/NAME.pub
  local file=certificates/log-$1.pem names
  openssl x509 -in "$file" -noout -pubkey >"$work/$1.pub" 2>/dev/null \
    || fail "$file: not a certificate"
  openssl pkey -pubin -in "$work/$1.pub" -outform DER -out "$work/der" 2>/dev/null \
    || fail "$file: no public key"
  hex_of "$work/der"
  [[ $hex == 302a300506032b6570032100* && ${#hex} -eq 88 ]] || fail "$file: not an Ed25519 key"
  names=$(openssl x509 -in "$file" -noout -ext subjectAltName 2>/dev/null)
  names=${names#'X509v3 Subject Alternative Name:'*$'\n'}
  [[ $names =~ ^\ *URI:sekisho-log://([^[:space:],+]+)$ ]] \
    || fail "$file: names no ledger"
  origins[$1]=${BASH_REMATCH[1]}
  key_ids[$1]=$({ printf '%s\n\001' "${origins[$1]}" && tail -c 32 "$work/der"; } | sha256sum)
  key_ids[$1]=${key_ids[$1]:0:8}
}

open_note() { # FILE gate|authority [alone]: lines of the text in $text; our signature holds
  local i last=-1 found=0 line name signature
  read_lines "$1"
  for ((i = ${#lines[@]} - 1; i >= 0; i--)); do
    if [[ -z ${lines[i]} ]]; then last=$i && break; fi
  done
  ((last > 0 && last + 1 < ${#lines[@]})) || fail "$1: not a signed note"
  text=("${lines[@]:0:last}")
  printf '%s\n' "${text[@]}" >"$work/text"
  for line in "${lines[@]:last+1}"; do
    [[ $line =~ ^$dash\ ([^\ +]+)\ ([A-Za-z0-9+/]+={0,2})$ ]] \
      || fail "$1: a malformed signature line"
    name=${BASH_REMATCH[1]} signature=${BASH_REMATCH[2]}
    decode_base64 "$signature" "$1"
    hex_of "$work/blob"
    if [[ $name == "${origins[$2]}" && ${hex:0:8} == "${key_ids[$2]}" ]]; then
      found=$((found + 1))
      ((${#hex} == 136)) || fail "$1: a signature of another length"
      tail -c 64 "$work/blob" >"$work/signature"
      openssl pkeyutl -verify -rawin -pubin -inkey "$work/$2.pub" -in "$work/text" \
        -sigfile "$work/signature" >/dev/null 2>&1 \
        || fail "$1: the signature of ${origins[$2]} does not hold"
    elif [[ ${3-} == alone ]]; then
      fail "$1: a signature line of another key"
    fi
  done
  ((found == 1)) || fail "$1: $found signatures of ${origins[$2]}, not one"
}

# ----------------------------------------------------------------------------------------- files

check_files() {
  local path line before='' bad
  for path in **; do
    [[ $path =~ $safe ]] || fail "${path@Q}: a name that no bundle has"
    [[ ! -L $path ]] || fail "$path: a link"
    [[ -d $path || -f $path ]] || fail "$path: neither file nor folder"
  done
  read_log_key gate
  read_log_key authority
  open_note MANIFEST gate alone
  [[ ${text[0]} == sekisho/manifest/v1 && ${text[1]-} == agent\ * && ${text[2]-} == period\ * ]] \
    || fail "MANIFEST: not the manifest of a bundle"
  agent=${text[1]#agent } period=${text[2]#period }
  [[ $agent =~ ^[a-z][a-z0-9_-]{0,62}$ ]] || fail "MANIFEST: names no agent"
  [[ $period =~ ^[0-9TZ:.-]{30}\ [0-9TZ:.-]{30}$ ]] || fail "MANIFEST: names no period"
  for line in "${text[@]:3}"; do
    path=${line:66}
    [[ $line =~ ^[0-9a-f]{64}\ \  && $path =~ $safe && $path != /* && $path != *..* ]] \
      || fail "MANIFEST: a malformed line: ${line@Q}"
    [[ $before < $path ]] || fail "MANIFEST: not sorted by path: $path"
    before=$path listed[$path]=1
  done
  for path in **; do
    [[ -d $path || $path == MANIFEST || -n ${listed[$path]-} ]] || fail "$path: not in MANIFEST"
  done
  bad=$(printf '%s\n' "${text[@]:3}" | sha256sum --check --strict --quiet 2>/dev/null)
  if (($?)) || [[ -n $bad ]]; then
    bad=${bad%%$'\n'*} path=${bad%: FAILED*}
    [[ -f $path ]] || fail "$path: in MANIFEST but missing"
    case $path in
      logs/gate/entries.jsonl | logs/authority/entries.jsonl) name_changed_entry "$path" ;;
    esac
    fail "$path: differs from its digest in MANIFEST"
  fi
  use MANIFEST README.txt verify.sh oid.cnf summary.json
  good files "${#listed[@]} files, each as in the signed MANIFEST, and no other"
  good "" "agent $agent, period $period"
}

use() { # PATHS: files that a bundle has
  local path
  for path; do
    [[ $path == MANIFEST || -n ${listed[$path]-} ]] || fail "$path: not in MANIFEST"
    used[$path]=1
  done
}

check_all_used() {
  local path
  for path in "${!listed[@]}"; do
    [[ -n ${used[$path]-} ]] || fail "$path: not a file of a bundle"
  done
}

# ---------------------------------------------------------------------------------- certificates

begin_of() { # CERTIFICATE: the second from which it is valid, in $begin
  local date
  date=$(openssl x509 -in "$1" -noout -startdate 2>/dev/null) || fail "$1: not a certificate"
  begin=$(date -u -d "${date#notBefore=}" +%s) || fail "$1: no date"
}

digest_of() { # CERTIFICATE: SHA-256 of its DER in $digest, base64 of it in $encoded
  openssl x509 -in "$1" -outform DER -out "$work/der" 2>/dev/null || fail "$1: not a certificate"
  digest=$(sha256sum <"$work/der")
  digest=${digest:0:64}
  encoded=$(base64 -w0 <"$work/der")
}

check_certificate() { # CERTIFICATE: one, chained to the root, at its first second
  use "$1"
  openssl x509 -in "$1" -out "$work/one" 2>/dev/null || fail "$1: not a certificate"
  same_bytes "$1" "$work/one" || fail "$1: holds more than one certificate"
  begin_of "$1"
  # -trusted, unlike -CAfile, leaves the machine's own trust store out. -attime: it is judged at
  # the time of its use, and bundles of rehearsals carry dates of any year.
  openssl verify -x509_strict -attime "$begin" -trusted certificates/root.pem \
    -untrusted certificates/issuing.pem "$1" >/dev/null 2>"$work/why" || fail "$1: $(why)"
}

why() { # what openssl verify said, in one line
  local line said='does not chain to the root'
  while IFS= read -r line; do
    if [[ $line == error\ [0-9]* ]]; then said=$line && break; fi
  done <"$work/why"
  printf '%s' "$said"
}

check_certificates() {
  local path given
  agents=(certificates/agent-*.pem)
  ((${#agents[@]})) || fail "certificates: none of an agent"
  if [[ -n $root ]]; then
    digest_of "$root"
    given=$digest
    digest_of certificates/root.pem
    [[ $digest == "$given" ]] || fail "certificates/root.pem: not the root that was given"
  fi
  for path in certificates/{root,issuing,responder,log-gate,log-authority}.pem "${agents[@]}"; do
    check_certificate "$path"
  done
  good certificates "root, issuing CA, responder, two ledgers, ${#agents[@]} of the agent: chained"
}

# --------------------------------------------------------------------------------------- ledgers

hash_level() { # SHA-256 of each file of $work/level, in order of the names, in $level
  local -a names=("$work"/level/*) part
  local i line
  level=()
  for ((i = 0; i < ${#names[@]}; i += 2000)); do
    mapfile -t part < <(sha256sum -- "${names[@]:i:2000}")
    for line in "${part[@]}"; do level+=("${line:0:64}"); done
  done
  rm -rf -- "$work/level"
  ((${#level[@]} == ${#names[@]})) || fail "sha256sum failed; is the temporary folder full?"
}

hash_leaves() { # of $lines, in $level: SHA-256 of a zero byte and the entry
  local i name
  mkdir -- "$work/level" || exit 2
  for ((i = 0; i < ${#lines[@]}; i++)); do
    printf -v name '%09d' "$i"
    printf '\0%s' "${lines[i]}" >"$work/level/$name"
  done
  hash_level
}

hash_up() { # one level up, in $level: SHA-256 of a one byte, left and right; an odd last one stays
  local i odd=''
  if ((${#level[@]} % 2)); then odd=${level[-1]}; fi
  mkdir -- "$work/level" || exit 2
  for ((i = 0; i + 1 < ${#level[@]}; i += 2)); do
    printf '01%s%s' "${level[i]^^}" "${level[i + 1]^^}"
  done | basenc --base16 -d | split -b 65 -a 7 -d - "$work/level/n"
  hash_level
  if [[ -n $odd ]]; then level+=("$odd"); fi
}

tile_path() { # ROW NUMBER WIDTH: path below the ledger's folder, in $path
  local groups rest=$2
  printf -v groups '%03d' $((rest % 1000))
  while ((rest = rest / 1000)); do printf -v groups 'x%03d/%s' $((rest % 1000)) "$groups"; done
  path=tile/$1/$groups
  if (($3 < 256)); then path+=.p/$3; fi
}

check_tiles() { # FOLDER HEIGHT: the tiles that hold this height; what is wrong, in $spoiled
  local folder=$1 row=$(($2 / 8)) n width path i entry head IFS=''
  local -i count=$((${#lines[@]} >> $2))
  for ((n = 0; n * 256 < count; n++)); do
    width=$((count - n * 256 < 256 ? count - n * 256 : 256))
    tile_path "$row" "$n" "$width"
    use "$folder/$path"
    hex_of "$folder/$path"
    # Said after the root was compared: that the entries are wrong weighs more.
    if [[ $hex != "${level[*]:n*256:width}" && -z $spoiled ]]; then
      spoiled="$folder/$path: not the hashes of the entries"
      for ((i = 0; row == 0 && i < width; i++)); do
        [[ ${hex:i*64:64} == "${level[n * 256 + i]}" ]] || break
      done
      if ((row == 0)); then differs="; the first entry that differs is $((n * 256 + i))"; fi
    fi
    ((row == 0)) || continue
    tile_path entries "$n" "$width"
    use "$folder/$path"
    for ((i = n * 256; i < n * 256 + width; i++)); do
      entry=${lines[i]}
      printf -v head '\\x%02x\\x%02x' $((${#entry} >> 8)) $((${#entry} & 255))
      printf "$head%s" "$entry"
    done >"$work/bundle"
    same_bytes "$folder/$path" "$work/bundle" \
      || spoiled=${spoiled:-"$folder/$path: not the entries"}
  done
}

climb() { # [FOLDER]: from the leaf hashes in $level to the root, in $top; checks tiles on the way
  local -i height=0
  if ((${#level[@]} == 0)); then
    top=$(sha256sum </dev/null) && top=${top:0:64}
    return
  fi
  while :; do
    if [[ -n ${1-} ]] && ((height % 8 == 0)); then check_tiles "$1" "$height"; fi
    ((${#level[@]} > 1)) || break
    hash_up
    height+=1
  done
  top=${level[0]}
}

read_checkpoint() { # FILE gate|authority: its size in $size, its root in $wanted
  open_note "$1" "$2"
  [[ ${text[0]} == "${origins[$2]}" ]] || fail "$1: of another ledger than ${origins[$2]}"
  [[ ${text[1]-} =~ ^(0|[1-9][0-9]{0,9})$ ]] || fail "$1: no size"
  size=${text[1]}
  decode_base64 "${text[2]-}" "$1"
  hex_of "$work/blob"
  ((${#hex} == 64)) || fail "$1: a root has 32 bytes"
  wanted=$hex
}

read_entries() { # FILE: entries in $lines
  local i
  read_lines "$1"
  for ((i = 0; i < ${#lines[@]}; i++)); do
    ((${#lines[i]} > 0 && ${#lines[i]} < 65536)) || fail "$1: entry $i has ${#lines[i]} bytes"
  done
}

name_changed_entry() { # FILE: says which entry differs first from the ledger's own hashes
  local i log=${1%/entries.jsonl} tiles=''
  read_entries "$1"
  hash_leaves
  for i in "$log"/tile/0/[0-9]* "$log"/tile/0/{[0-9]*.p,x*}/**; do
    if [[ -f $i ]]; then hex_of "$i" && tiles+=$hex; fi
  done
  for ((i = 0; i < ${#level[@]}; i++)); do
    [[ ${level[i]} == "${tiles:i*64:64}" ]] \
      || fail "$1: differs from its digest in MANIFEST; the first entry that differs is $i"
  done
}

check_log() { # gate|authority: entries in $lines
  local folder=logs/$1 size wanted top spoiled='' differs=''
  use "$folder/checkpoint" "$folder/entries.jsonl"
  read_checkpoint "$folder/checkpoint" "$1"
  read_entries "$folder/entries.jsonl"
  ((${#lines[@]} == size)) || fail "$folder/entries.jsonl: ${#lines[@]} entries, signed are $size"
  hash_leaves
  climb "$folder"
  [[ $top == "$wanted" ]] \
    || fail "$folder/entries.jsonl: not the entries of the signed checkpoint$differs"
  [[ -z $spoiled ]] || fail "$spoiled"
  good ledger "$1: $size entries make the signed root of ${origins[$1]}"
}

check_kept() { # the checkpoint that somebody kept outside: the ledger continues it
  local log size wanted top
  read_lines "$kept"
  case ${lines[0]-} in
    "${origins[gate]}") log=gate ;;
    "${origins[authority]}") log=authority ;;
    *) fail "$kept: a checkpoint of neither ledger" ;;
  esac
  read_checkpoint "$kept" "$log"
  read_lines "logs/$log/entries.jsonl"
  ((size <= ${#lines[@]})) \
    || fail "logs/$log: has ${#lines[@]} entries, the checkpoint that was kept has $size: cut off"
  lines=("${lines[@]:0:size}")
  hash_leaves
  climb
  [[ $top == "$wanted" ]] || fail "logs/$log: another history than the checkpoint that was kept"
  good checkpoint "$log: the first $size entries are those of the checkpoint that was kept"
}

# ---------------------------------------------------------------------------------------- status

check_against_log() { # the certificates are those of the authority's ledger
  local path entry name found=0
  for name in root issuing responder; do
    digest_of "certificates/$name.pem"
    [[ ${authority[0]-} == *"\"${name}_certificate\":\"$encoded\""* ]] \
      || fail "certificates/$name.pem: not the one that the authority was founded with"
  done
  for entry in "${authority[@]}"; do
    [[ $entry == "{\"agent\":\"$agent\","*',"kind":"certificate_issued",'* ]] || continue
    [[ $entry =~ \"serial_number\":\"([0-9a-f]+)\" ]] || fail "logs/authority: no serial number"
    path=certificates/agent-${BASH_REMATCH[1]}.pem found=$((found + 1))
    [[ -n ${listed[$path]-} ]] || fail "$path: missing, although it was issued"
    digest_of "$path"
    [[ $entry == *",\"certificate\":\"$encoded\","* ]] || fail "$path: not the one issued"
  done
  ((found == ${#agents[@]})) || fail "certificates: ${#agents[@]} of the agent, issued were $found"
}

read_crl() { # FILE SHARD: statuses by serial number (upper-case hex) in $crl_status
  local line serial='' date newest=''
  use "$1"
  openssl crl -in "$1" -outform DER -out "$work/crl" 2>/dev/null || fail "$1: not a CRL"
  digest=$(sha256sum <"$work/crl")
  for line in "${authority[@]}"; do
    if [[ $line == *',"kind":"crl_issued",'*",\"shard\":$2,"* ]]; then newest=$line; fi
  done
  [[ $newest == *"\"crl_sha256\":\"${digest:0:64}\""* ]] \
    || fail "$1: not the newest CRL of the authority's ledger"
  while IFS= read -r line; do
    if [[ $line =~ ^\ *Serial\ Number:\ ([0-9A-F]+)$ ]]; then
      serial=${BASH_REMATCH[1]}
      crl_status[$serial]=revoked
    elif [[ -n $serial && $line == *"Certificate Hold" ]]; then
      crl_status[$serial]=hold
    fi
  done < <(openssl crl -in "$1" -noout -text)
  date=$(openssl crl -in "$1" -noout -lastupdate)
  crl_at=${date#lastUpdate=}
  # openssl takes, of all, the one whose place the certificate names.
  printf '%s\n' "$(<"$1")" >>"$work/crls.pem"
}

read_crls() { # one, or those of the shards that the agent's certificates are in
  local path shard
  : >"$work/crls.pem"
  for path in "${!listed[@]}"; do
    [[ $path == crl/* ]] || continue
    shard=${path#crl/} shard=${shard%.pem}
    if [[ $shard == issuing ]]; then shard=0; fi
    read_crl "$path" "$shard"
  done
}

check_by_crl() { # CERTIFICATE: its status by the CRL, in $status
  local serial
  serial=$(openssl x509 -in "$1" -noout -serial)
  status=${crl_status[${serial#serial=}]:-good}
  # Times were checked at each certificate's first second; the CRL is of the time of export.
  if openssl verify -x509_strict -no_check_time -crl_check -CRLfile "$work/crls.pem" \
    -trusted certificates/root.pem -untrusted certificates/issuing.pem "$1" \
    >/dev/null 2>"$work/why"; then
    [[ $status == good ]] || fail "$1: on the CRL, but openssl does not find it there"
  else
    [[ $(why) == error\ 23\ * && $status != good ]] || fail "$1: $(why)"
  fi
}

check_by_ocsp() { # CERTIFICATE STATUS: the response says the same
  local file=ocsp/$digest.der said answer date
  use "$file"
  date=$(openssl ocsp -respin "$file" -noverify -resp_text 2>/dev/null) \
    || fail "$file: not an OCSP response"
  [[ $date =~ This\ Update:\ ([A-Za-z0-9\ :]+)$'\n' ]] || fail "$file: has no time"
  date=$(date -u -d "${BASH_REMATCH[1]}" +%s) || fail "$file: has no time"
  # openssl ocsp exits with 0 whatever the status is: only its text counts. It judges the times by
  # today's clock: hence the long -validity_period.
  said=$(openssl ocsp -sha256 -issuer certificates/issuing.pem -cert "$1" -respin "$file" \
    -no_nonce -CAfile certificates/root.pem -no-CApath -no-CAstore \
    -verify_other certificates/issuing.pem \
    -attime "$date" -validity_period 2000000000 2>"$work/why")
  [[ $'\n'$(<"$work/why")$'\n' == *$'\nResponse verify OK\n'* ]] || fail "$file: does not verify"
  case $said in
    "$1: good"$'\n'*) answer=good ;;
    "$1: revoked"$'\n'*"Reason: certificateHold"*) answer=hold ;;
    "$1: revoked"$'\n'*) answer=revoked ;;
    *) fail "$file: not about $1" ;;
  esac
  [[ $answer == "$2" ]] || fail "$file: says $answer, the CRL says $2"
  shown=${said#"$1: "}
}

check_status() {
  local path status recorded entry shown
  local -A crl_status=()
  check_against_log
  read_crls
  for path in "${agents[@]}"; do
    check_by_crl "$path"
    digest_of "$path"
    check_by_ocsp "$path" "$status"
    recorded=good
    for entry in "${authority[@]}"; do
      if [[ $entry == *"\"certificate_sha256\":\"$digest\","*',"kind":"status_changed",'* &&
        $entry =~ ,\"status\":\"(good|hold|revoked)\"\}$ ]]; then
        recorded=${BASH_REMATCH[1]}
      fi
    done
    [[ $recorded == "$status" ]] \
      || fail "$path: $status by the CRL, $recorded by the authority's ledger"
    good status "$path: $status, by ledger, CRL ($crl_at) and OCSP:"
    while IFS= read -r entry; do good "" "  ${entry#$'\t'}"; done <<<"$shown"
  done
}

# --------------------------------------------------------------------------------------- permits

check_permits() {
  local path entry decision permit name key content count=0
  local -A keys=()
  local signed='^\{"agent":"([a-z0-9_-]+)","at":"[^"]+","decision":(0|[1-9][0-9]{0,7})'
  signed+=',"kind":"permit_signed","permit":"([A-Za-z0-9_-]+\.[A-Za-z0-9_-]+)\.[A-Za-z0-9_-]+"\}$'
  for path in "${agents[@]}"; do
    digest_of "$path"
    keys[$digest]=$work/agent-$count.pub count=$((count + 1))
    openssl x509 -in "$path" -noout -pubkey >"${keys[$digest]}"
  done
  count=0
  for entry in "${gate[@]}"; do
    [[ $entry == "{\"agent\":\"$agent\",\"at\""*',"kind":"permit_signed",'* ]] || continue
    [[ $entry =~ $signed ]] || fail "logs/gate: a malformed permit_signed entry"
    decision=${BASH_REMATCH[2]} permit=${BASH_REMATCH[3]}
    printf -v name 'permits/%08d' "$decision"
    [[ -z ${used[$name.input]-} ]] || fail "logs/gate: decision $decision was signed twice"
    use "$name.input" "$name.sig"
    [[ ${gate[decision]-} == *"\"agent\":\"$agent\","*',"kind":"decision",'*'"permitted"}' &&
      ${gate[decision]} =~ \"certificate_sha256\":\"([0-9a-f]{64})\" ]] \
      || fail "$name.input: entry $decision of the gate's ledger permits nothing to $agent"
    key=${keys[${BASH_REMATCH[1]}]-}
    [[ -n $key ]] || fail "$name.input: signed under a certificate that the agent does not have"
    IFS= read -r -d '' content <"$name.input"
    [[ $content == "$permit" ]] || fail "$name.input: not the permit of the gate's ledger"
    openssl dgst -sha256 -verify "$key" -signature "$name.sig" "$name.input" >/dev/null 2>&1 \
      || fail "$name.sig: the signature does not hold"
    count=$((count + 1))
  done
  good permits "$count signatures, each over the permit of a permitted decision"
}

# -------------------------------------------------------------------------------------------- run

while (($#)); do
  case $1 in
    --root | --checkpoint | --bundle) (($# > 1)) || usage "$1 needs a value" ;;
    *) usage "${1@Q} is no option" ;;
  esac
  case $1 in
    --root) root=$(realpath -e -- "$2" 2>/dev/null) || usage "$2: no such file" ;;
    --checkpoint) kept=$(realpath -e -- "$2" 2>/dev/null) || usage "$2: no such file" ;;
    --bundle) bundle=$2 ;;
  esac
  shift 2
done
version=$(openssl version 2>/dev/null) || usage "openssl 3.0 or newer is needed"
[[ $version =~ ^OpenSSL\ ([0-9]+)\. ]] && ((BASH_REMATCH[1] >= 3)) \
  || usage "openssl 3.0 or newer is needed, this is $version"
bundle=${bundle:-$(dirname -- "${BASH_SOURCE[0]}")}
cd -- "$bundle" 2>/dev/null || usage "${bundle@Q}: no such folder"
work=$(mktemp -d) || usage "no temporary folder"
trap 'rm -rf -- "$work"' EXIT
agents=()

check_files
check_certificates
check_log gate && gate=("${lines[@]}")
check_log authority && authority=("${lines[@]}")
check_status
check_permits
check_all_used
if [[ -n $kept ]]; then check_kept; fi

printf '\nall of the above holds. Not checked here: approvals, verdicts, counters, leases and the\n'
printf 'summary. sekisho-verify computes them again.\n'
if [[ -z $root ]]; then
  digest_of certificates/root.pem
  printf 'trust in the root is yours to establish: compare with the issuer the SHA-256 of\n'
  printf 'certificates/root.pem, %s, or give --root\n' "$digest"
fi
if [[ -z $kept ]]; then
  printf 'SELF-ASSERTED: integrity shown, truncation and rewriting not excluded\n'
fi

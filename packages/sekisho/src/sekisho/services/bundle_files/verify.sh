#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Checks this bundle with bash, coreutils and openssl 3 alone: files, certificates, CRL and status,
# permit signatures, both ledgers. It does not compute the verdicts again: sekisho-verify does.
#
#   bash verify.sh --root ROOT.pem      exit 0 good, 1 failed (the first bad thing is named), 2 usage
set -u -o pipefail
export LC_ALL=C TZ=UTC
shopt -s nullglob globstar dotglob

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd) || exit 2
root=''
while (($#)); do
  case $1 in
    --root) root=$(realpath -- "${2:-}" 2>/dev/null) || root=''; [[ -r $root ]] || { echo "verify.sh: --root: no such file" >&2; exit 2; }; shift 2 ;;
    *) echo "usage: bash verify.sh [--root ROOT.pem]" >&2; exit 2 ;;
  esac
done
version=$(openssl version 2>/dev/null) || { echo "verify.sh: openssl 3 is needed" >&2; exit 2; }
[[ $version == "OpenSSL "[3-9]* ]] || { echo "verify.sh: openssl 3 is needed, this is $version" >&2; exit 2; }
cd -- "$here" || exit 2
work=$(mktemp -d) || exit 2
trap 'rm -rf -- "$work"' EXIT

fail() { printf 'FAILED  %s\n' "$*"; exit 1; }
good() { printf 'ok      %s\n' "$*"; }

# A signed note: NAME.text, NAME.sig (the last signature line whose key name is given) in $work.
split_note() { # file, key name, name in $work
  local -a lines=(); local i last=-1 line signature=''
  [[ -f $1 ]] || fail "$1: missing"
  mapfile -t lines < "$1"
  for i in "${!lines[@]}"; do [[ -z ${lines[i]} ]] && last=$i; done
  ((last > 0)) || fail "$1: not a signed note"
  printf '%s\n' "${lines[@]:0:last}" > "$work/$3.text"
  for line in "${lines[@]:last+1}"; do
    [[ $line == $'\xe2\x80\x94 '"$2 "* ]] && signature=${line##* }
  done
  [[ -n $signature ]] || fail "$1: no signature by $2"
  base64 -d <<< "$signature" 2>/dev/null | tail -c +5 > "$work/$3.sig"
  [[ $(wc -c < "$work/$3.sig") -eq 64 ]] || fail "$1: the signature has not 64 bytes"
}

check_note() { # file, key name, certificate, name in $work
  split_note "$1" "$2" "$4"
  openssl x509 -in "$3" -pubkey -noout > "$work/$4.pub" 2>/dev/null || fail "$3: not a certificate"
  openssl pkeyutl -verify -rawin -pubin -inkey "$work/$4.pub" -in "$work/$4.text" \
    -sigfile "$work/$4.sig" > /dev/null 2>&1 || fail "$1: the signature by $2 does not hold"
}

seconds() { date -u -d "$1" +%s; }

begin_of() { # certificate: the second from which it is valid
  local text; text=$(openssl x509 -in "$1" -startdate -noout 2>/dev/null) || fail "$1: not a certificate"
  seconds "${text#notBefore=}"
}

check_chain() { # certificate
  openssl verify -x509_strict -attime "$(begin_of "$1")" -CAfile certificates/root.pem \
    -untrusted certificates/issuing.pem "$1" > /dev/null 2> "$work/why" \
    || fail "$1: $(head -n 2 "$work/why" | tail -n 1)"
}

# ---------------------------------------------------------------------------------------- files
mapfile -t origin < logs/gate/checkpoint 2>/dev/null || fail "logs/gate/checkpoint: missing"
check_note MANIFEST "${origin[0]:-}" certificates/log-gate.pem manifest
mapfile -t manifest < "$work/manifest.text"
[[ ${manifest[0]:-} == sekisho/manifest/v1 ]] || fail "MANIFEST: not the manifest of a bundle"
declare -A listed=()
for line in "${manifest[@]:3}"; do listed[${line:66}]=1; done
printf '%s\n' "${manifest[@]:3}" | sha256sum --check --strict --quiet > "$work/sums" 2>&1 \
  || fail "$(head -n 1 "$work/sums")"
for path in **; do
  [[ -L $path ]] && fail "$path: a link"
  [[ -d $path || $path == MANIFEST ]] && continue
  [[ -n ${listed[$path]:-} ]] || fail "$path: not listed in MANIFEST"
done
good "files         ${#listed[@]} listed, all as listed, no other"

# --------------------------------------------------------------------------------- certificates
if [[ -n $root ]]; then
  [[ $(openssl x509 -in "$root" -outform DER 2>/dev/null | sha256sum) == \
     $(openssl x509 -in certificates/root.pem -outform DER | sha256sum) ]] \
    || fail "certificates/root.pem: not the root that was given"
fi
openssl verify -x509_strict -attime "$(begin_of certificates/issuing.pem)" -CAfile certificates/root.pem \
  certificates/issuing.pem > /dev/null 2>&1 || fail "certificates/issuing.pem: not issued by the root"
agents=(certificates/agent-*.pem)
((${#agents[@]})) || fail "certificates: none of an agent"
for path in certificates/responder.pem certificates/log-*.pem "${agents[@]}"; do check_chain "$path"; done
good "certificates  root, issuing CA, responder, 2 logs, ${#agents[@]} of the agent"

# --------------------------------------------------------------------------------------- status
openssl crl -in crl/issuing.pem -CAfile certificates/issuing.pem -noout > "$work/crl" 2>&1
[[ $(< "$work/crl") == *"verify OK"* ]] || fail "crl/issuing.pem: not signed by the issuing CA"
text=$(openssl crl -in crl/issuing.pem -lastupdate -noout); now=$(seconds "${text#lastUpdate=}")
summary=$(< summary.json)
for path in "${agents[@]}"; do
  serial=${path#certificates/agent-}; serial=${serial%.pem}
  digest=$(openssl x509 -in "$path" -outform DER | sha256sum); digest=${digest%% *}
  if openssl verify -x509_strict -crl_check -CRLfile crl/issuing.pem -attime "$now" \
      -CAfile certificates/root.pem -untrusted certificates/issuing.pem "$path" > "$work/why" 2>&1; then
    status=good
  elif [[ $(< "$work/why") == *"error 23 "* ]]; then
    status=revoked
  else
    fail "$path: $(head -n 2 "$work/why" | tail -n 1)"
  fi
  # openssl ocsp exits 0 for a revoked certificate too: its text counts.
  openssl ocsp -sha256 -respin "ocsp/$digest.der" -no_nonce -issuer certificates/issuing.pem \
    -cert "$path" -CAfile certificates/root.pem -verify_other certificates/issuing.pem \
    -attime "$now" -validity_period 999999999 > "$work/ocsp" 2>&1
  answer=$(< "$work/ocsp")
  [[ $answer == *"Response verify OK"* ]] || fail "ocsp/$digest.der: the response does not verify"
  [[ $answer == *"$path: $status"* ]] || fail "ocsp/$digest.der: CRL and OCSP disagree"
  stated=$status
  if [[ $status == revoked && $answer == *"Reason: certificateHold"* ]]; then stated=hold; fi
  [[ $summary == *"\"serial_number\":\"$serial\",\"status\":\"$stated\""* ]] \
    || fail "summary.json: the status of $serial is not $stated as in CRL and OCSP"
  good "status        $serial is $stated, by CRL and OCSP"
done

# -------------------------------------------------------------------------------------- permits
for path in "${agents[@]}"; do
  openssl x509 -in "$path" -pubkey -noout > "$work/agent-${path##*/}.pub"
done
count=0
for input in permits/*.input; do
  found=''
  for key in "$work"/agent-*.pub; do
    if openssl dgst -sha256 -verify "$key" -signature "${input%.input}.sig" "$input" > /dev/null 2>&1; then
      found=1; break
    fi
  done
  [[ -n $found ]] || fail "$input: the signature verifies with no certificate of the agent"
  count=$((count + 1))
done
[[ $summary == *"\"signatures\":$count,"* ]] || good "permits       (the period of summary.json counts other permits than the logs hold)"
good "permits       $count signatures"

# -------------------------------------------------------------------------------------- ledgers
hash_all() { # folder: appends the digest of each file in it, in order of name, to $hashes
  local -a names=("$1"/*); local i line
  hashes=()
  for ((i = 0; i < ${#names[@]}; i += 2000)); do
    while IFS= read -r line; do hashes+=("${line:0:64}"); done \
      < <(sha256sum -- "${names[@]:i:2000}")
  done
  rm -rf -- "$1"
}

check_log() { # name
  local log=logs/$1 line i n=0 odd text; local -a head=()
  mapfile -t head < "$log/checkpoint"
  check_note "$log/checkpoint" "${head[0]:-}" "certificates/log-$1.pem" "$1"
  text=$(openssl x509 -in "certificates/log-$1.pem" -noout -ext subjectAltName)
  [[ $text == *"URI:sekisho-log:${head[0]}"* ]] || fail "certificates/log-$1.pem: for another log"
  [[ $(tr -d '\000' < "$log/entries.jsonl" | wc -c) -eq $(wc -c < "$log/entries.jsonl") ]] \
    || fail "$log/entries.jsonl: holds a zero byte"
  [[ $(wc -l < "$log/entries.jsonl") == "${head[1]}" ]] \
    || fail "$log/entries.jsonl: not the ${head[1]} entries of the checkpoint"
  mkdir "$work/level" || exit 2
  while IFS= read -r line; do
    printf -v i '%08d' "$n"
    printf '\0%s' "$line" > "$work/level/$i"
    n=$((n + 1))
  done < "$log/entries.jsonl"
  hash_all "$work/level"
  while ((${#hashes[@]} > 1)); do
    odd=''
    ((${#hashes[@]} % 2)) && odd=${hashes[-1]}
    mkdir "$work/level" || exit 2
    for ((i = 0; i + 1 < ${#hashes[@]}; i += 2)); do printf '01%s%s' "${hashes[i]^^}" "${hashes[i+1]^^}"; done \
      | basenc --base16 -d | (cd "$work/level" && split -b 65 -a 6 -d - n)
    hash_all "$work/level"
    [[ -n $odd ]] && hashes+=("$odd")
  done
  text=$(base64 -d <<< "${head[2]}" 2>/dev/null | od -An -v -tx1 | tr -d ' \n')
  [[ ${hashes[0]:-} == "$text" ]] || fail "$log/entries.jsonl: not the entries of the signed checkpoint"
  good "ledger        $1: $n entries make the signed root"
}
check_log gate
check_log authority

printf '\n'
[[ -n $root ]] || printf 'The root came from this bundle: compare it with the issuer'"'"'s own.\n'
printf 'Checked: chain, CRL, signatures, ledgers. Verdicts: sekisho-verify computes them again.\n'
printf 'SELF-ASSERTED: integrity shown, truncation and rewriting not excluded\n'

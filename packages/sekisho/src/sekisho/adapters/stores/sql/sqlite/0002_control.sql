-- Keys of the control plane, and answers to be repeated (docs/spec/control-plane.md).
CREATE TABLE api_keys (
    id            TEXT NOT NULL PRIMARY KEY,
    operator      TEXT NOT NULL,
    role          TEXT NOT NULL,
    seat          TEXT NOT NULL,
    secret_sha256 TEXT NOT NULL,
    made_at       TEXT NOT NULL,
    expires_at    TEXT NOT NULL,
    ended_at      TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX api_keys_of_operator ON api_keys (operator, id);
CREATE TABLE answers (
    caller         TEXT    NOT NULL,
    key            TEXT    NOT NULL,
    request_sha256 TEXT    NOT NULL,
    begun_at       TEXT    NOT NULL,
    status         INTEGER NOT NULL DEFAULT 0,
    media_type     TEXT    NOT NULL DEFAULT '',
    body           BLOB    NOT NULL DEFAULT x'',
    PRIMARY KEY (caller, key)
) STRICT;
CREATE INDEX answers_by_age ON answers (begun_at);

-- Logs and their entries (docs/spec/stores.md). The entries are the journal; the rest stands beside them.
CREATE TABLE logs (
    log      TEXT    NOT NULL PRIMARY KEY,
    size     INTEGER NOT NULL DEFAULT 0,
    term     INTEGER NOT NULL DEFAULT 0,
    writer   TEXT    NOT NULL DEFAULT '',
    address  TEXT    NOT NULL DEFAULT ''
) STRICT;
CREATE TABLE entries (
    log   TEXT    NOT NULL,
    idx   INTEGER NOT NULL,
    entry BLOB    NOT NULL,
    PRIMARY KEY (log, idx)
) STRICT, WITHOUT ROWID;
CREATE TABLE claims (
    log  TEXT    NOT NULL,
    kind TEXT    NOT NULL,
    name TEXT    NOT NULL,
    PRIMARY KEY (log, kind, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE checkpoints (
    log  TEXT    NOT NULL PRIMARY KEY,
    size INTEGER NOT NULL,
    note BLOB    NOT NULL
) STRICT;

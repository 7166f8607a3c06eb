-- Logs and their entries (docs/spec/stores.md). The entries are the journal; the rest stands beside them.
CREATE TABLE logs (
    id       INTEGER     GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    log      TEXT        NOT NULL UNIQUE,
    size     BIGINT      NOT NULL DEFAULT 0,
    term     BIGINT      NOT NULL DEFAULT 0,
    writer   TEXT        NOT NULL DEFAULT '',
    address  TEXT        NOT NULL DEFAULT '',
    locked   BOOLEAN     NOT NULL DEFAULT false,
    renewed  TIMESTAMPTZ NOT NULL DEFAULT '-infinity'
);
CREATE TABLE entries (
    log   INTEGER NOT NULL REFERENCES logs (id),
    idx   BIGINT  NOT NULL,
    entry BYTEA   NOT NULL,
    PRIMARY KEY (log, idx)
);
CREATE TABLE claims (
    log  INTEGER NOT NULL REFERENCES logs (id),
    kind TEXT    NOT NULL,
    name TEXT    NOT NULL,
    PRIMARY KEY (log, kind, name)
);
CREATE TABLE checkpoints (
    log  INTEGER NOT NULL PRIMARY KEY REFERENCES logs (id),
    size BIGINT  NOT NULL,
    note BYTEA   NOT NULL
);

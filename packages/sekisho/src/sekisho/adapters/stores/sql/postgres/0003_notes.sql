-- What notes say; their commitments are in the log (docs/spec/control-plane.md section 5).
CREATE TABLE notes (
    operator   TEXT    NOT NULL,
    commitment TEXT    NOT NULL,
    salt       BYTEA   NOT NULL,
    said       BYTEA   NOT NULL,
    erased_at  TEXT    NOT NULL DEFAULT '',
    PRIMARY KEY (operator, commitment)
);

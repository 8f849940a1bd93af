-- Who changed what. Rows are only ever added; each has the hash of itself and of all rows before it: see src/audit.rs.
CREATE TABLE audit (
    number INTEGER PRIMARY KEY CHECK (number > 0),
    time_us INTEGER NOT NULL,
    actor TEXT NOT NULL,
    certificate TEXT,
    peer TEXT,
    request_id TEXT,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    outcome TEXT NOT NULL,
    hash BLOB NOT NULL
) STRICT;
CREATE TRIGGER audit_update BEFORE UPDATE ON audit BEGIN
    SELECT RAISE(ABORT, 'rows of the audit log are never changed');
END;
CREATE TRIGGER audit_delete BEFORE DELETE ON audit BEGIN
    SELECT RAISE(ABORT, 'rows of the audit log are never deleted');
END;

-- The number and the hash of the last row.
CREATE TABLE audit_head (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    number INTEGER NOT NULL,
    hash BLOB NOT NULL
) STRICT;
INSERT INTO audit_head (id, number, hash) VALUES (1, 0, zeroblob(32));

-- Connections that have come, of which only the newest may add frames.
ALTER TABLE devices ADD COLUMN turn BIGINT NOT NULL DEFAULT 0;
-- The device's spool that numbered the frames; 0 is one that had no name.
ALTER TABLE streams ADD COLUMN spool BIGINT NOT NULL DEFAULT 0;

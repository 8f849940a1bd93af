-- Frames are deleted in the order of their arrival: clocks of devices may be wrong.
CREATE INDEX frames_by_arrival ON frames (received_us, id);
-- A row that is written to find out whether the database stores anything.
CREATE TABLE write_checks (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    checked_us INTEGER NOT NULL
) STRICT;
INSERT INTO write_checks (id, checked_us) VALUES (1, 0);

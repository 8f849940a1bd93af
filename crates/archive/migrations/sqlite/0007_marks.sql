-- What devices found out about the inputs of frames, for frames about which there is something to say. They are few, so
-- that the rows of the others do not grow.
CREATE TABLE marks (
    frame_id INTEGER PRIMARY KEY,
    -- 1 if the input was damaged.
    damaged INTEGER NOT NULL CHECK (damaged BETWEEN 0 AND 1),
    -- The place of capture: degrees times 10^7, and the height in centimetres.
    latitude_e7 INTEGER,
    longitude_e7 INTEGER,
    altitude_cm INTEGER
) STRICT;
CREATE INDEX marks_of_damaged ON marks (frame_id) WHERE damaged = 1;

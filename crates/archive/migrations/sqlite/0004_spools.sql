-- A stream belongs to a spool, and each of its epochs is separate. SQLite cannot change a constraint, so the table is
-- created again with the same ids. Foreign keys are checked at the commit.
PRAGMA defer_foreign_keys = ON;
CREATE TABLE old_streams AS SELECT * FROM streams;
DROP TABLE streams;
-- What was applied of a device, spool, class and epoch. A row is never deleted.
CREATE TABLE streams (
    id INTEGER PRIMARY KEY,
    device_id INTEGER NOT NULL REFERENCES devices (id),
    -- The device's spool that numbered the frames; 0 is one that had no name.
    spool INTEGER NOT NULL,
    class INTEGER NOT NULL CHECK (class BETWEEN 0 AND 2),
    epoch INTEGER NOT NULL,
    floor INTEGER NOT NULL DEFAULT 0,
    -- Applied above the floor: '7-9,12-13'.
    ranges TEXT NOT NULL DEFAULT '',
    -- The lowest applied number; 0 if there is none. For streams of earlier versions it may be higher.
    first_number INTEGER NOT NULL DEFAULT 0,
    -- The highest number that was applied or settled.
    last_number INTEGER NOT NULL DEFAULT 0,
    UNIQUE (device_id, class, epoch, spool)
) STRICT;
INSERT INTO streams (id, device_id, spool, class, epoch, floor, ranges, first_number, last_number)
    SELECT id, device_id, spool, class, epoch, floor, ranges,
        CASE ranges WHEN '' THEN floor + 1 ELSE CAST(substr(ranges, 1, instr(ranges, '-') - 1) AS INTEGER) END,
        CASE ranges WHEN '' THEN floor
            ELSE CAST(substr(ranges, length(rtrim(ranges, '0123456789')) + 1) AS INTEGER) END
    FROM old_streams;
DROP TABLE old_streams;
CREATE INDEX streams_by_lane ON streams (device_id, spool, class, last_number);

-- Messages that were refused because a frame in them has the identity of another frame.
ALTER TABLE devices ADD COLUMN conflicts INTEGER NOT NULL DEFAULT 0;
-- Messages of an epoch that came after frames of a newer epoch with the same numbers.
ALTER TABLE devices ADD COLUMN alternations INTEGER NOT NULL DEFAULT 0;
-- Connections that a newer connection of the device has displaced.
ALTER TABLE devices ADD COLUMN displaced INTEGER NOT NULL DEFAULT 0;
-- Numbers in `losses` that have not come again.
ALTER TABLE devices ADD COLUMN lost INTEGER NOT NULL DEFAULT 0;

-- Numbers that were acknowledged and that this archive did not know when the device connected: it was set back to an
-- earlier state. A row is split when a part of its numbers comes again.
CREATE TABLE losses (
    id INTEGER PRIMARY KEY,
    device_id INTEGER NOT NULL REFERENCES devices (id),
    spool INTEGER NOT NULL,
    class INTEGER NOT NULL,
    first_number INTEGER NOT NULL,
    last_number INTEGER NOT NULL,
    found_us INTEGER NOT NULL,
    -- Time at which all of these numbers had come again; NULL if none of them has.
    returned_us INTEGER
) STRICT;
CREATE INDEX losses_by_lane ON losses (device_id, spool, class, last_number);

-- The identity of the archive, which a copy shares, and the number of times that it was opened to write.
CREATE TABLE identity (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    archive INTEGER NOT NULL,
    generation INTEGER NOT NULL
) STRICT;
INSERT INTO identity (id, archive, generation) VALUES (1, random(), 0);

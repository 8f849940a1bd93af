-- A stream belongs to a spool, and each of its epochs is separate.
ALTER TABLE streams DROP CONSTRAINT streams_device_id_class_epoch_key;
ALTER TABLE streams ADD UNIQUE (device_id, class, epoch, spool);
-- The lowest applied number; 0 if there is none. For streams of earlier versions it may be higher.
ALTER TABLE streams ADD COLUMN first_number BIGINT NOT NULL DEFAULT 0;
-- The highest number that was applied or settled.
ALTER TABLE streams ADD COLUMN last_number BIGINT NOT NULL DEFAULT 0;
UPDATE streams SET
    first_number = CASE ranges WHEN '' THEN floor + 1 ELSE CAST(split_part(ranges, '-', 1) AS bigint) END,
    last_number = CASE ranges WHEN '' THEN floor
        ELSE CAST(substr(ranges, length(rtrim(ranges, '0123456789')) + 1) AS bigint) END;
CREATE INDEX streams_by_lane ON streams (device_id, spool, class, last_number);

-- Messages that were refused because a frame in them has the identity of another frame.
ALTER TABLE devices ADD COLUMN conflicts BIGINT NOT NULL DEFAULT 0;
-- Messages of an epoch that came after frames of a newer epoch with the same numbers.
ALTER TABLE devices ADD COLUMN alternations BIGINT NOT NULL DEFAULT 0;
-- Connections that a newer connection of the device has displaced.
ALTER TABLE devices ADD COLUMN displaced BIGINT NOT NULL DEFAULT 0;
-- Numbers in `losses` that have not come again.
ALTER TABLE devices ADD COLUMN lost BIGINT NOT NULL DEFAULT 0;

-- Numbers that were acknowledged and that this archive did not know when the device connected: it was set back to an
-- earlier state. A row is split when a part of its numbers comes again.
CREATE TABLE losses (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    device_id BIGINT NOT NULL REFERENCES devices (id),
    spool BIGINT NOT NULL,
    class BIGINT NOT NULL,
    first_number BIGINT NOT NULL,
    last_number BIGINT NOT NULL,
    found_us BIGINT NOT NULL,
    -- Time at which all of these numbers had come again; NULL if none of them has.
    returned_us BIGINT
);
CREATE INDEX losses_by_lane ON losses (device_id, spool, class, last_number);

-- The identity of the archive, which a copy shares, and the number of times that it was opened to write.
CREATE TABLE identity (
    id BIGINT PRIMARY KEY CHECK (id = 1),
    archive BIGINT NOT NULL,
    generation BIGINT NOT NULL
);
INSERT INTO identity (id, archive, generation)
    VALUES (1, CAST(CAST('x' || left(md5(CAST(gen_random_uuid() AS text)), 16) AS bit(64)) AS bigint), 0);

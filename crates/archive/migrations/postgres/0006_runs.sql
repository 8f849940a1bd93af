-- Frames that arrived together share a row with everything that they have in common, so that a small frame takes
-- little more than its bytes. The names of sources are stored once for each device.
ALTER TABLE frames RENAME TO old_frames;
ALTER INDEX frames_pkey RENAME TO old_frames_pkey;
-- Ids are drawn before the rows are inserted, and are never reused.
CREATE SEQUENCE frame_ids;
SELECT setval('frame_ids', last_value, is_called) FROM frames_id_seq;

CREATE TABLE sources (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    device_id BIGINT NOT NULL REFERENCES devices (id),
    -- Number of runs with this source. The row is deleted together with the last of them.
    runs BIGINT NOT NULL DEFAULT 0,
    text TEXT NOT NULL
);
-- A text may be longer than what an index can hold.
CREATE UNIQUE INDEX sources_by_text ON sources (device_id, md5(text));
INSERT INTO sources (device_id, text) SELECT DISTINCT device_id, source FROM old_frames;

-- A run: frames of one stream with consecutive numbers and consecutive ids, which arrived together. Their times are
-- from the same quarter of an hour. See src/store/runs.rs.
CREATE TABLE runs (
    -- The id of the first frame.
    id BIGINT PRIMARY KEY,
    device_id BIGINT NOT NULL REFERENCES devices (id),
    stream_id BIGINT NOT NULL REFERENCES streams (id),
    -- There is no index that a reference to `sources` would need.
    source_id BIGINT NOT NULL,
    latent_space BIGINT NOT NULL,
    first_number BIGINT NOT NULL,
    -- Number of frames that it had at first, 256 at most, and of those that are here.
    length BIGINT NOT NULL,
    frames BIGINT NOT NULL,
    -- The latest time of a frame, and the distance to the earliest one.
    last_ms BIGINT NOT NULL,
    span_ms BIGINT NOT NULL,
    received_us BIGINT NOT NULL,
    -- The correction of the device's clock, which the times include, and the quality of this clock.
    offset_ms BIGINT NOT NULL,
    clock BIGINT NOT NULL,
    -- The head of all scores; 0 if a frame does not have one, -1 if they are from several heads.
    scored_by BIGINT NOT NULL DEFAULT 0
);
INSERT INTO runs (id, device_id, stream_id, source_id, latent_space, first_number, length, frames, last_ms, span_ms,
    received_us, offset_ms, clock)
WITH timed AS (
    SELECT id, device_id, stream_id, number, received_us, source, latent_space,
        CASE WHEN captured_us < 1577836800000000 OR captured_us > received_us + 86400000000
            THEN received_us ELSE captured_us END / 1000 AS time_ms
    FROM old_frames
), marked AS (
    SELECT *, CASE WHEN id = LAG(id) OVER in_order + 1 AND number = LAG(number) OVER in_order + 1
        AND stream_id = LAG(stream_id) OVER in_order AND source = LAG(source) OVER in_order
        AND latent_space = LAG(latent_space) OVER in_order AND received_us = LAG(received_us) OVER in_order
        AND time_ms / 900000 = LAG(time_ms) OVER in_order / 900000 THEN 0 ELSE 1 END AS is_first
    FROM timed WINDOW in_order AS (ORDER BY id)
), grouped AS (
    SELECT *, SUM(is_first) OVER (ORDER BY id) AS part FROM marked
), counted AS (
    SELECT *, (ROW_NUMBER() OVER (PARTITION BY part ORDER BY id) - 1) / 256 AS piece FROM grouped
)
SELECT MIN(c.id), c.device_id, c.stream_id, s.id, c.latent_space, MIN(c.number), COUNT(*), COUNT(*), MAX(c.time_ms),
    MAX(c.time_ms) - MIN(c.time_ms), c.received_us, 0, 0
FROM counted AS c JOIN sources AS s ON s.device_id = c.device_id AND s.text = c.source
GROUP BY c.part, c.piece, c.device_id, c.stream_id, s.id, c.latent_space, c.received_us;
UPDATE sources SET runs = counted.runs
    FROM (SELECT source_id, COUNT(*) AS runs FROM runs GROUP BY source_id) AS counted WHERE counted.source_id = sources.id;

CREATE TABLE frames (
    id BIGINT PRIMARY KEY,
    -- The time by which frames are listed: that of their capture, corrected, or that of their arrival.
    time_ms BIGINT NOT NULL,
    -- 32 bits, read as a signed integer.
    digest BIGINT NOT NULL,
    -- Time of capture by the device's clock, unless it is `time_ms` without the correction.
    captured_us BIGINT,
    trace TEXT,
    frame BYTEA NOT NULL
);
-- A frame is compressed already.
ALTER TABLE frames ALTER COLUMN frame SET STORAGE EXTERNAL;
INSERT INTO frames (id, time_ms, digest, captured_us, trace, frame)
    SELECT id, time_us / 1000, CASE WHEN digest > 2147483647 THEN digest - 4294967296 ELSE digest END,
        CASE WHEN time_us / 1000 * 1000 = captured_us THEN NULL ELSE captured_us END, trace, frame
    FROM (SELECT *, CASE WHEN captured_us < 1577836800000000 OR captured_us > received_us + 86400000000
        THEN received_us ELSE captured_us END AS time_us FROM old_frames) AS timed ORDER BY id;

-- The newest score of each frame. The score is NULL if the head could not read the frame.
CREATE TABLE scores (
    frame_id BIGINT PRIMARY KEY,
    head_id BIGINT NOT NULL,
    score DOUBLE PRECISION,
    quantile DOUBLE PRECISION,
    label TEXT
);
INSERT INTO scores (frame_id, head_id, score, quantile, label)
    SELECT id, scored_by, score, quantile, label FROM old_frames WHERE scored_by <> 0 ORDER BY id;
UPDATE runs SET scored_by = (
    SELECT CASE WHEN MIN(COALESCE(c.head_id, 0)) = 0 THEN 0
        WHEN MIN(c.head_id) = MAX(c.head_id) THEN MIN(c.head_id) ELSE -1 END
    FROM frames AS f LEFT JOIN scores AS c ON c.frame_id = f.id
    WHERE f.id >= runs.id AND f.id < runs.id + runs.length);

-- Number of runs in the archive, and bytes of the names of sources and of the traces.
ALTER TABLE devices ADD COLUMN runs BIGINT NOT NULL DEFAULT 0;
ALTER TABLE devices ADD COLUMN text_bytes BIGINT NOT NULL DEFAULT 0;
-- The difference of the clocks when the device has connected last, unless it did not state its time.
ALTER TABLE devices ADD COLUMN clock_offset_ms BIGINT;
ALTER TABLE devices ADD COLUMN clock BIGINT NOT NULL DEFAULT 0;
UPDATE devices SET runs = counted.runs
    FROM (SELECT device_id, COUNT(*) AS runs FROM runs GROUP BY device_id) AS counted WHERE counted.device_id = devices.id;
UPDATE devices SET text_bytes = counted.bytes
    FROM (SELECT device_id, SUM(bytes) AS bytes FROM (
        SELECT device_id, octet_length(text) AS bytes FROM sources
        UNION ALL SELECT device_id, octet_length(trace) FROM old_frames WHERE trace IS NOT NULL
    ) AS texts GROUP BY device_id) AS counted WHERE counted.device_id = devices.id;
DROP TABLE old_frames;

CREATE INDEX frames_by_time ON frames (time_ms, id);
CREATE INDEX scores_by_score ON scores (score, frame_id) WHERE score IS NOT NULL;
CREATE INDEX runs_by_number ON runs (stream_id, first_number);
CREATE INDEX runs_by_time ON runs (device_id, last_ms, id, span_ms);
CREATE INDEX runs_by_arrival ON runs (device_id, received_us, id);
-- Part of the latent space is enough to find it, as with SQLite.
CREATE INDEX runs_by_head ON runs ((latent_space & 65535), scored_by, id);

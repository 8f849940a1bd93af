-- Times are microseconds since 1970. Epochs and latent spaces are 64 bits, read as a signed integer.

CREATE TABLE devices (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    first_seen_us BIGINT NOT NULL,
    last_seen_us BIGINT NOT NULL,
    -- Frames ever applied; frames that are here, and their bytes.
    applied BIGINT NOT NULL DEFAULT 0,
    frames BIGINT NOT NULL DEFAULT 0,
    bytes BIGINT NOT NULL DEFAULT 0
);

-- What was applied of a device, class and epoch. A row is never deleted.
CREATE TABLE streams (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    device_id BIGINT NOT NULL REFERENCES devices (id),
    class BIGINT NOT NULL CHECK (class BETWEEN 0 AND 2),
    epoch BIGINT NOT NULL,
    floor BIGINT NOT NULL DEFAULT 0,
    -- Applied above the floor: '7-9,12-13'.
    ranges TEXT NOT NULL DEFAULT '',
    UNIQUE (device_id, class, epoch)
);

-- Versions of heads that have scored frames.
CREATE TABLE heads (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    bundle TEXT NOT NULL,
    head TEXT NOT NULL,
    version BIGINT NOT NULL,
    UNIQUE (bundle, head, version)
);

CREATE TABLE frames (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    device_id BIGINT NOT NULL REFERENCES devices (id),
    stream_id BIGINT NOT NULL REFERENCES streams (id),
    number BIGINT NOT NULL,
    captured_us BIGINT NOT NULL,
    received_us BIGINT NOT NULL,
    source TEXT NOT NULL,
    digest BIGINT NOT NULL,
    latent_space BIGINT NOT NULL,
    trace TEXT,
    -- The head of the newest score; 0 is none.
    scored_by BIGINT NOT NULL DEFAULT 0,
    score DOUBLE PRECISION,
    quantile DOUBLE PRECISION,
    label TEXT,
    frame BYTEA NOT NULL,
    UNIQUE (stream_id, number)
);

CREATE INDEX frames_by_time ON frames (captured_us, id);
CREATE INDEX frames_by_device ON frames (device_id, captured_us, id);
CREATE INDEX frames_by_score ON frames (score, captured_us, id, device_id) WHERE score IS NOT NULL;
CREATE INDEX frames_by_head ON frames (latent_space, scored_by, id);
-- A frame is compressed already.
ALTER TABLE frames ALTER COLUMN frame SET STORAGE EXTERNAL;

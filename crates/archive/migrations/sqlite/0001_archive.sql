-- Times are microseconds since 1970. Epochs and latent spaces are 64 bits, read as a signed integer.

CREATE TABLE devices (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    first_seen_us INTEGER NOT NULL,
    last_seen_us INTEGER NOT NULL,
    -- Frames ever applied; frames that are here, and their bytes.
    applied INTEGER NOT NULL DEFAULT 0,
    frames INTEGER NOT NULL DEFAULT 0,
    bytes INTEGER NOT NULL DEFAULT 0
) STRICT;

-- What was applied of a device, class and epoch. A row is never deleted.
CREATE TABLE streams (
    id INTEGER PRIMARY KEY,
    device_id INTEGER NOT NULL REFERENCES devices (id),
    class INTEGER NOT NULL CHECK (class BETWEEN 0 AND 2),
    epoch INTEGER NOT NULL,
    floor INTEGER NOT NULL DEFAULT 0,
    -- Applied above the floor: '7-9,12-13'.
    ranges TEXT NOT NULL DEFAULT '',
    UNIQUE (device_id, class, epoch)
) STRICT;

-- Versions of heads that have scored frames.
CREATE TABLE heads (
    id INTEGER PRIMARY KEY,
    bundle TEXT NOT NULL,
    head TEXT NOT NULL,
    version INTEGER NOT NULL,
    UNIQUE (bundle, head, version)
) STRICT;

-- The frame stands last: what comes before it is read without it.
CREATE TABLE frames (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    device_id INTEGER NOT NULL REFERENCES devices (id),
    stream_id INTEGER NOT NULL REFERENCES streams (id),
    number INTEGER NOT NULL,
    captured_us INTEGER NOT NULL,
    received_us INTEGER NOT NULL,
    source TEXT NOT NULL,
    digest INTEGER NOT NULL,
    latent_space INTEGER NOT NULL,
    trace TEXT,
    -- The head of the newest score; 0 is none.
    scored_by INTEGER NOT NULL DEFAULT 0,
    score REAL,
    quantile REAL,
    label TEXT,
    frame BLOB NOT NULL,
    UNIQUE (stream_id, number)
) STRICT;

CREATE INDEX frames_by_time ON frames (captured_us, id);
CREATE INDEX frames_by_device ON frames (device_id, captured_us, id);
CREATE INDEX frames_by_score ON frames (score, captured_us, id, device_id) WHERE score IS NOT NULL;
CREATE INDEX frames_by_head ON frames (latent_space, scored_by, id);

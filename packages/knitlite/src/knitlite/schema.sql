-- The whole state of one engine (PRAGMA user_version 1). Later changes are files in migrations/, one a version.
-- Times are whole milliseconds since 1970 in UTC, the precision the WebAPI shows, so a shown value can be asked for again.

-- What can be run. Two rows are pseudo plans: they have a name and no image, and own uploaded or imported Data.
CREATE TABLE plans (
    plan_id         TEXT PRIMARY KEY,
    name            TEXT UNIQUE,            -- pseudo plans only
    spec            TEXT NOT NULL,          -- JSON, the part that never changes: image, entrypoint, args, inputs, outputs, log, on_node
    fingerprint     TEXT NOT NULL UNIQUE,   -- sha256 of what makes two plans equal; a second equal plan is refused
    active          INTEGER NOT NULL CHECK (active IN (0, 1)),
    resources       TEXT NOT NULL,          -- JSON object name -> canonical quantity
    annotations     TEXT NOT NULL,          -- JSON list of [key, value], sorted
    service_account TEXT
) STRICT;

-- One execution of a plan over one combination of Data.
CREATE TABLE runs (
    run_id       TEXT PRIMARY KEY,
    plan_id      TEXT NOT NULL REFERENCES plans (plan_id),
    status       TEXT NOT NULL CHECK (status IN ('deactivated', 'waiting', 'ready', 'starting', 'running',
                     'completing', 'aborting', 'done', 'failed', 'invalidated')),
    combination  TEXT,                      -- knit ids in the order of the plan's inputs, comma joined; NULL for uploads
    updated_at   INTEGER NOT NULL,          -- moves with the status only
    exit_code    INTEGER CHECK (exit_code BETWEEN 0 AND 255),
    exit_message TEXT,
    queued       INTEGER NOT NULL,          -- place in the queue: grows with every run made or retried
    UNIQUE (plan_id, combination)           -- each combination once, deleted runs included
) STRICT;
CREATE INDEX runs_by_time ON runs (updated_at, run_id);
CREATE INDEX runs_by_status ON runs (status, queued);
CREATE INDEX runs_by_place ON runs (queued);

-- Which Data a run reads. Kept when the run is deleted, so its combination never comes back.
CREATE TABLE run_inputs (
    run_id   TEXT NOT NULL REFERENCES runs (run_id) ON DELETE CASCADE,
    position INTEGER NOT NULL,              -- index in the plan's inputs
    knit_id  TEXT NOT NULL,
    PRIMARY KEY (run_id, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX run_inputs_by_data ON run_inputs (knit_id);

-- One folder of content, in DIR/data/<knit_id> once its run is finished. The row exists from the making of the run.
CREATE TABLE data (
    knit_id  TEXT PRIMARY KEY,
    run_id   TEXT NOT NULL REFERENCES runs (run_id) ON DELETE CASCADE,
    position INTEGER NOT NULL,              -- index in the plan's outputs; -1 is the log
    stamp    INTEGER,                       -- knit#timestamp; NULL until the run is finished
    UNIQUE (run_id, position)
) STRICT;
CREATE INDEX data_by_time ON data (stamp, knit_id);

-- User tags. System tags (knit#...) are computed from the rows above, never stored.
CREATE TABLE data_tags (
    knit_id TEXT NOT NULL REFERENCES data (knit_id) ON DELETE CASCADE,
    key     TEXT NOT NULL,
    value   TEXT NOT NULL,
    PRIMARY KEY (knit_id, key, value)
) STRICT, WITHOUT ROWID;
CREATE INDEX data_by_tag ON data_tags (key, value, knit_id);

-- Which Data could fill which input of which plan now.
CREATE TABLE nominations (
    plan_id  TEXT NOT NULL REFERENCES plans (plan_id),
    position INTEGER NOT NULL,              -- index in the plan's inputs
    knit_id  TEXT NOT NULL REFERENCES data (knit_id) ON DELETE CASCADE,
    PRIMARY KEY (plan_id, position, knit_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX nominations_by_data ON nominations (knit_id);

-- The process or container that executes a run. A row outlives a killed server, so the next one finds the orphan.
CREATE TABLE workers (
    run_id  TEXT PRIMARY KEY REFERENCES runs (run_id) ON DELETE CASCADE,
    runner  TEXT NOT NULL,                  -- which kind of runner made it
    handle  TEXT NOT NULL                   -- what that runner needs to find it again (for a process: pid and start time)
) STRICT, WITHOUT ROWID;

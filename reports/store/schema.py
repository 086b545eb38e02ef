"""The tables of a store, and what a file must be to be one."""

from __future__ import annotations

APPLICATION = 0x64766B74
"""SQLite's application id of a store: the letters dvkt."""

VERSION = 1
"""Of the tables below (SQLite's user_version); raised with every change of them."""

TABLES = """
CREATE TABLE evaluations (
    key TEXT PRIMARY KEY,            -- SHA-256 over `inputs`
    kind TEXT NOT NULL,              -- accuracy, cost
    inputs TEXT NOT NULL,            -- JSON: everything the result depends on, files by what they hold
    result TEXT NOT NULL,            -- JSON
    code TEXT NOT NULL,              -- hash over our source text and the versions of numerical libraries
    version TEXT NOT NULL,           -- of devicekit
    seconds REAL NOT NULL,           -- it took
    made TEXT NOT NULL               -- UTC
);
CREATE TABLE runs (
    name TEXT PRIMARY KEY,
    study TEXT NOT NULL,             -- JSON
    code TEXT NOT NULL,
    version TEXT NOT NULL,
    started TEXT NOT NULL,
    finished TEXT                    -- null: interrupted, or still running
);
CREATE TABLE points (
    run TEXT NOT NULL REFERENCES runs(name) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    name TEXT NOT NULL,
    facts TEXT NOT NULL,             -- JSON: core, what is varied, network
    status TEXT NOT NULL,            -- open, done, unaffordable, impossible, failed
    reason TEXT NOT NULL,
    accuracy TEXT,                   -- key of its evaluation
    cost TEXT,                       -- key of its evaluation
    PRIMARY KEY (run, position)
);
CREATE TABLE claims (
    key TEXT PRIMARY KEY,            -- evaluation that some process has in hand
    host TEXT NOT NULL,
    process INTEGER NOT NULL,
    began TEXT NOT NULL,             -- start of the process, so that a later one of the same number is another
    beat REAL NOT NULL               -- last sign of life, seconds since 1970
);
"""

import init from "../../migrations/shard/0001_init.sql";
import targets from "../../migrations/shard/0002_targets.sql";
import polls from "../../migrations/shard/0003_polls.sql";
import heldFrom from "../../migrations/shard/0004_held_from.sql";
import heavy from "../../migrations/shard/0005_heavy.sql";
import splits from "../../migrations/shard/0006_splits.sql";
import type { Migration } from "../platform/migrate.ts";

/** The migrations of a shard, oldest first. */
export const SHARD_MIGRATIONS: readonly Migration[] = [
  { name: "0001_init", sql: init },
  { name: "0002_targets", sql: targets },
  { name: "0003_polls", sql: polls },
  { name: "0004_held_from", sql: heldFrom },
  { name: "0005_heavy", sql: heavy },
  { name: "0006_splits", sql: splits },
];

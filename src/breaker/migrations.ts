import init from "../../migrations/breaker/0001_init.sql";
import told from "../../migrations/breaker/0002_told.sql";
import holds from "../../migrations/breaker/0003_holds.sql";
import parts from "../../migrations/breaker/0004_parts.sql";
import type { Migration } from "../platform/migrate.ts";

/** The migrations of a Breaker, oldest first. */
export const BREAKER_MIGRATIONS: readonly Migration[] = [
  { name: "0001_init", sql: init },
  { name: "0002_told", sql: told },
  { name: "0003_holds", sql: holds },
  { name: "0004_parts", sql: parts },
];

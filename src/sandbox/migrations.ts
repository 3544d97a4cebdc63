import init from "../../migrations/sandbox/0001_init.sql";
import type { Migration } from "../platform/migrate.ts";

/** The migrations of the sandbox's inbox, oldest first. */
export const SANDBOX_MIGRATIONS: readonly Migration[] = [{ name: "0001_init", sql: init }];

import init from "../../migrations/catalog/0001_init.sql";
import dataKeys from "../../migrations/catalog/0002_data_keys.sql";
import type { Migration } from "../platform/migrate.ts";

/** The migrations of the Catalog, oldest first. Its databases know them by the whole name of their file. */
export const CATALOG_MIGRATIONS: readonly Migration[] = [
  { name: "0001_init.sql", sql: init },
  { name: "0002_data_keys.sql", sql: dataKeys },
];

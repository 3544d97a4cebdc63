/**
 * Loaded into the launcher before anything else: workerd starts with SIGXFSZ ignored, so that a write past the file
 * size limit fails, as on a full disk, in place of ending the process.
 */
import children from "node:child_process";
import { syncBuiltinESMExports } from "node:module";

const { spawn } = children;
const spawnIgnoring = (command: string, args: readonly string[], options: children.SpawnOptions) =>
  [command, ...args].some((word) => word.endsWith("/workerd"))
    ? spawn("sh", ["-c", `trap "" XFSZ; exec "$0" "$@"`, command, ...args], options)
    : spawn(command, args, options);

Object.assign(children, { spawn: spawnIgnoring });
syncBuiltinESMExports();

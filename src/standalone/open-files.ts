import { execFileSync } from "node:child_process";

/** Shell that raises the soft limit of open files to the hard one, or leaves it as it is where the system refuses. */
export const RAISE_OPEN_FILES = 'ulimit -S -n "$(ulimit -H -n)" 2>/dev/null';

/**
 * How many files, sockets among them, workerd may have open at a time: what `RAISE_OPEN_FILES` gives a child of this
 * process. Null: the system sets no limit, or there is no shell to ask.
 */
export function openFilesLimit(): number | null {
  try {
    const text = execFileSync("sh", ["-c", `${RAISE_OPEN_FILES}; ulimit -S -n`], { encoding: "utf8" }).trim();
    return /^\d{1,15}$/.test(text) ? Number(text) : null;
  } catch {
    return null; // workerd is started by the same shell: that it is missing is told there.
  }
}

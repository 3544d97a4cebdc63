/**
 * Completes package-lock.json: where npm's registry lacks some optional packages for other platforms (a partial mirror),
 * `npm install` leaves them out of the lock file and `npm ci` then refuses it. This adds an entry for each, by its name
 * and version, so that every platform can install from it. Run after `npm install`: node scripts/complete-lock.mjs
 */
import { readFileSync, writeFileSync } from "node:fs";

const lock = JSON.parse(readFileSync("package-lock.json", "utf8"));
const P = lock.packages;
const OS = [
  "android",
  "darwin",
  "linux",
  "win32",
  "windows",
  "freebsd",
  "openbsd",
  "netbsd",
  "sunos",
  "aix",
  "openharmony",
];
const CPU = ["arm64", "x64", "arm", "ia32", "ppc64", "riscv64", "s390x", "loong64", "mips64el", "wasm32"];
const resolve = (from, name) => {
  for (let dir = from; ; dir = dir.slice(0, Math.max(0, dir.lastIndexOf("node_modules/") - 1))) {
    const key = `${dir ? `${dir}/` : ""}node_modules/${name}`;
    if (P[key]) return key;
    if (!dir) return null;
  }
};
let added = 0;
for (const [key, pkg] of Object.entries({ ...P })) {
  const opts = pkg.optionalDependencies ?? {};
  const known = Object.keys(opts)
    .map((n) => resolve(key, n))
    .find((k) => k && P[k].version === Object.values(opts)[0]);
  for (const [name, range] of Object.entries(opts)) {
    const at = resolve(key, name);
    if (at && (P[at].version === range || !/^\d/.test(range))) continue;
    const base = known ? known.slice(0, known.lastIndexOf("node_modules/")) : at ? `${key}/` : "";
    let to = `${base}node_modules/${name}`;
    if (P[to] && P[to].version !== range) to = `${key}/node_modules/${name}`;
    if (P[to]) continue;
    const last = name.split("/").pop();
    const tokens = last.split(/[-.]/);
    const os = OS.find((o) => tokens.includes(o));
    const cpu =
      CPU.find((c) => tokens.includes(c)) ??
      (last.startsWith("workerd") && tokens.includes("64") ? "x64" : undefined);
    const libc =
      tokens.includes("musl") || tokens.some((x) => x.startsWith("musl"))
        ? ["musl"]
        : tokens.some((x) => ["gnu", "gnueabihf"].includes(x))
          ? ["glibc"]
          : undefined;
    const version = /^\d/.test(range) ? range : range.replace(/^[^\d]*/, "");
    P[to] = {
      version,
      ...(cpu && { cpu: [cpu] }),
      ...(pkg.dev && { dev: true }),
      ...(libc && { libc }),
      optional: true,
      ...(name === "fsevents" ? { os: ["darwin"] } : os && { os: [os === "windows" ? "win32" : os] }),
    };
    if (!P[to].os && !cpu) console.log("no platform:", to, range);
    added++;
  }
}
lock.packages = Object.fromEntries(Object.entries(P).sort(([a], [b]) => (a < b ? -1 : 1)));
writeFileSync("package-lock.json", `${JSON.stringify(lock, null, 2)}\n`);
console.log("added", added);

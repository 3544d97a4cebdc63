import type { AddressRules } from "../../core/address/target-url.ts";
import { addressRulesOf, type Env } from "../../platform/env.ts";
import { AppError } from "../http/app-error.ts";

const SETTINGS = [
  "REDRIVE_ALLOW_TARGETS",
  "REDRIVE_OWN_HOSTS",
  "REDRIVE_PUBLIC_URL",
  "REDRIVE_LISTEN",
  "REDRIVE_SANDBOX",
] as const;

let known: { env: Env; rules: AddressRules } | null = null;

/** What targets may be, read once for each isolate. Throws AppError `not_configured` where the setting is wrong. */
export function rulesOf(env: Env): AddressRules {
  const last = known;
  if (last !== null && SETTINGS.every((name) => last.env[name] === env[name])) return last.rules;
  try {
    known = { env, rules: addressRulesOf(env) };
    return known.rules;
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new AppError("not_configured", `REDRIVE_ALLOW_TARGETS: ${why}`, { cause });
  }
}

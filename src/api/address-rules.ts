import type { AddressRules } from "../core/target-url.ts";
import { addressRulesOf, type Env } from "../env.ts";
import { AppError } from "./app-error.ts";

let known: { env: Env; rules: AddressRules } | null = null;

/** What targets may be, read once for each isolate. Throws AppError `not_configured` where the setting is wrong. */
export function rulesOf(env: Env): AddressRules {
  const same =
    known?.env.REDRIVE_ALLOW_TARGETS === env.REDRIVE_ALLOW_TARGETS &&
    known?.env.REDRIVE_OWN_HOSTS === env.REDRIVE_OWN_HOSTS;
  if (known !== null && same) return known.rules;
  try {
    known = { env, rules: addressRulesOf(env) };
    return known.rules;
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new AppError("not_configured", `REDRIVE_ALLOW_TARGETS: ${why}`, { cause });
  }
}

import { isSealed } from "./sealed.ts";

/** Lower-case names of headers that carry credentials by their own definition. */
export const SECRET_HEADERS: readonly string[] = [
  "authorization",
  "authentication-info",
  "cookie",
  "cookie2",
  "proxy-authenticate",
  "proxy-authentication-info",
  "proxy-authorization",
  "set-cookie",
  "set-cookie2",
  "www-authenticate",
  "x-api-key",
  "x-auth-key",
  "x-goog-iap-jwt-assertion",
  "x-vault-unwrap",
];

/** Where a header was left in place but its value must not be shown. */
export const REDACTED = "[redacted]";

const secretNames = new Set(SECRET_HEADERS);
const SECRET_WORDS = /token|secret|passw|passphrase|signature|credential|bearer|jwt|session/;
/** `x-access-key`, `ocp-apim-subscription-key`, `x-auth`; not `idempotency-key` or `x-author`. */
const SECRET_KEYS =
  /(?:api|access|account|auth|functions|master|private|subscription)[-_]?key|(?:^|[-_])auth(?:$|[-_])/;

/** True for SECRET_HEADERS, and for names that say themselves that the value is a secret. Any case. */
export function isSecretHeader(name: string): boolean {
  const lower = name.toLowerCase();
  return secretNames.has(lower) || SECRET_WORDS.test(lower) || SECRET_KEYS.test(lower);
}

/** The same headers, the values of secret ones and sealed ones replaced: for showing a task's own request. */
export function redactHeaders(headers: Record<string, string>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [
      name,
      isSecretHeader(name) || isSealed(value) ? REDACTED : value,
    ]),
  );
}

/** The same headers without the secret ones: for passing a target's answer on. */
export function withoutSecretHeaders(headers: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !isSecretHeader(name)));
}

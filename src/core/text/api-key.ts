import { hashText } from "./hash.ts";

/** Lower-case base 32 without i, l, o, u: 32 characters, so that 5 bits of a random byte choose one evenly. */
const ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz";
const SHAPE = /^rdk_([0-9a-hjkmnp-tv-z]{12})_([0-9a-hjkmnp-tv-z]{32})([0-9a-hjkmnp-tv-z]{7})$/;
const ID_LENGTH = 12;
const SECRET_LENGTH = 32;
const CHECKSUM_LENGTH = 7;

/** How many random bytes `makeApiKey` takes. */
export const API_KEY_BYTES = ID_LENGTH + SECRET_LENGTH;

/** An API key: what the caller shows (`text`), and the id it is filed under. */
export interface ApiKey {
  id: string;
  text: string;
}

/** Makes `rdk_<id>_<secret><checksum>` from API_KEY_BYTES random bytes; its secret has 160 bits. */
export function makeApiKey(random: Uint8Array): ApiKey {
  const characters = Array.from(random.subarray(0, API_KEY_BYTES), (byte) => ALPHABET.charAt(byte & 31));
  const id = characters.slice(0, ID_LENGTH).join("");
  const secret = characters.slice(ID_LENGTH).join("");
  return { id, text: `rdk_${id}_${secret}${checksum(id, secret)}` };
}

/**
 * The id of an API key; null where the text is none, or its checksum is wrong. It keeps typos and made-up keys from
 * reaching the catalog, and says nothing about whether the key is valid.
 */
export function apiKeyId(text: string): string | null {
  const [, id, secret, sum] = SHAPE.exec(text) ?? [];
  if (id === undefined || secret === undefined) return null;
  return sum === checksum(id, secret) ? id : null;
}

function checksum(id: string, secret: string): string {
  let rest = hashText(`${id}_${secret}`);
  let text = "";
  for (let i = 0; i < CHECKSUM_LENGTH; i++) {
    text = ALPHABET.charAt(rest & 31) + text;
    rest >>>= 5;
  }
  return text;
}

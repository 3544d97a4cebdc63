/**
 * Writes a value as JSON in which the metadata of `owner`, an object in it, is the text that was given. Nothing else
 * can be `"metadata":{}` there: within a text the quotes are escaped, and of headers the values are texts.
 */
export function withMetadata(whole: object, owner: { metadata: object }, given: string | undefined): string {
  if (given === undefined) return JSON.stringify(whole);
  const { metadata } = owner;
  owner.metadata = {};
  const text = JSON.stringify(whole);
  owner.metadata = metadata;
  return text.replace('"metadata":{}', () => `"metadata":${given}`);
}

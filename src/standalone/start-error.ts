/** Why the server could not start or had to end, in sentences for the person who started it. */
export class StartError extends Error {
  override readonly name = "StartError";
}

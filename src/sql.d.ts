/** The files of `migrations/`: the bundler and the test runner import SQL as text. */
declare module "*.sql" {
  const text: string;
  export default text;
}

/** `npm start`: serves Redrive on plain workerd, with its data in a local folder, until it is told to stop. */
import { banner } from "./banner.ts";
import { launch } from "./launch.ts";
import { HELP, parseSettings } from "./settings.ts";
import { StartError } from "./start-error.ts";
import { untilSignalled } from "./until-signalled.ts";

process.exitCode = await main(process.argv.slice(2));

async function main(args: string[]): Promise<number> {
  if (args.includes("--help") || args.includes("-h")) return say(HELP, 0);
  if (args.length > 0) return complain(`There is no option ${args[0]}. See: npm start -- --help`);
  const parsed = parseSettings(process.env, process.cwd());
  if (!parsed.ok) return complain(parsed.problems.join("\n"));
  const signalled = untilSignalled();
  try {
    const server = await launch(parsed.settings);
    say(banner(server, parsed.settings), 0);
    await Promise.race([signalled, server.ended]);
    await server.stop();
    return 0;
  } catch (error) {
    if (error instanceof StartError) return complain(error.message);
    throw error;
  }
}

function say(text: string, exitCode: number): number {
  process.stdout.write(text);
  return exitCode;
}

function complain(message: string): number {
  process.stderr.write(`${message}\n`);
  return 1;
}

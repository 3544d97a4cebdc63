import { cloudflareTest } from "@cloudflare/vitest-plugin";
import { defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";

/** It waits for minutes and does next to nothing: begun last, all others were long done while it waited alone. */
const BEGUN_FIRST = "test/standalone/long-attempt.test.ts";

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const isFirst = ({ moduleId }: TestSpecification) => moduleId.endsWith(BEGUN_FIRST);
    const sorted = await super.sort(files);
    return [...sorted.filter(isFirst), ...sorted.filter((file) => !isFirst(file))];
  }
}

/** SQL as the Worker's bundle has it: a module whose default export is its text. */
const sqlAsText = {
  name: "sql-as-text",
  enforce: "pre" as const,
  transform: (text: string, id: string) =>
    id.endsWith(".sql") ? `export default ${JSON.stringify(text)};` : undefined,
};

/** Unit tests run in Node, workers tests in workerd, standalone and flow tests against the real server. */
export default defineConfig({
  test: {
    sequence: { sequencer: LongestFirst },
    coverage: {
      provider: "istanbul",
      include: ["src/core/**", "src/schema/**", "src/protocol/**", "src/platform/migrate.ts"],
      thresholds: { lines: 100, branches: 100, functions: 100, statements: 100 },
    },
    projects: [
      {
        plugins: [sqlAsText],
        test: {
          name: "unit",
          // Property tests take long while other suites run beside them.
          testTimeout: 30_000,
          include: [
            "test/{schema,core,callback,sealing,protocol,platform,client,runner,shard,breaker,intake,api,faults,structure}/**/*.test.ts",
          ],
        },
      },
      {
        plugins: [
          cloudflareTest({
            wrangler: { configPath: "./wrangler.toml" },
            verbose: false,
            miniflare: {
              bindings: {
                REDRIVE_API_KEY: "root-key-for-tests",
                REDRIVE_SIGNING_SECRET: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
                REDRIVE_ENCRYPTION_KEY: "encrypts-what-workers-tests-store",
                REDRIVE_SANDBOX: "on",
                REDRIVE_ALLOW_TARGETS: "loopback",
              },
            },
          }),
        ],
        // The first test of a file waits for the whole Worker to be loaded.
        test: { name: "workers", include: ["test/workers/**/*.test.ts"], testTimeout: 30_000 },
      },
      {
        test: {
          name: "standalone",
          include: ["test/{standalone,flow,crashes,fuzz}/**/*.test.ts"],
          // These wait for servers far more than they work.
          maxWorkers: 4,
          sequence: { groupOrder: 1 },
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
    ],
  },
});

import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

// Node reads and parses these certificates at every start, which takes half as long again; no test needs any.
delete process.env['NODE_EXTRA_CA_CERTS']

export default defineConfig({
  test: {
    root: fileURLToPath(new URL('..', import.meta.url)),
    include: ['test/**/*.test.ts'],
    reporters: ['default', fileURLToPath(new URL('support/totals-reporter.ts', import.meta.url))],
    // Most tests wait for programs: two files at a time take little more than half the time on two processors.
    testTimeout: 60_000,
    hookTimeout: 60_000,
    pool: 'forks',
    maxWorkers: 2,
  },
})

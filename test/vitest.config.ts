import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    root: fileURLToPath(new URL('..', import.meta.url)),
    include: ['test/**/*.test.ts'],
    reporters: ['default', fileURLToPath(new URL('support/totals-reporter.ts', import.meta.url))],
    testTimeout: 30_000,
    hookTimeout: 30_000,
    pool: 'forks',
  },
})

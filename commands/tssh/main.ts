import { defineMain } from '../../src/command/run.ts'

export { run } from '../../src/command/run.ts'

export const main = defineMain({ program: 'tssh', failureStatus: 255 }, async args =>
  (await import('./invoke.ts')).invoke(args),
)

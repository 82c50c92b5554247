import { versionOnly } from '../../src/command/version-only.ts'

export { run } from '../../src/command/run.ts'
export const main = versionOnly('tscp', 'Copies files between hosts.')

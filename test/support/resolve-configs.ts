import { readFileSync } from 'node:fs'
import { loadHostConfig } from '../../src/connect/host-config.ts'
import { ConfigError } from '../../src/openssh/errors.ts'
import { printSshConfig } from '../../src/openssh/print.ts'

/** As a program: what `-G` prints for each pair of a file and a host, in one process, as JSON. */
const cases = JSON.parse(readFileSync(0, 'utf8')) as { readonly file: string; readonly host: string }[]
const results: { text?: string; refusal?: string; log: string[] }[] = []
for (const { file, host } of cases) {
  const lines: string[] = []
  const say = (line: string): void => void lines.push(line)
  const log = { error: say, info: say, verbose: say, debug1: say }
  try {
    results.push({ text: printSshConfig(await loadHostConfig({ file, host, log })), log: lines })
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    results.push({ refusal: error.message, log: lines })
  }
}
process.stdout.write(JSON.stringify(results))

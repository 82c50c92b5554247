import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const built = new URL('../../dist/lib/crypto/', import.meta.url)

/** Runs a program in a Node that collects garbage often, where Node's deadlock of generated keys shows within a second. */
function underCollections(program: string): { readonly status: number | null; readonly stdout: string } {
  return spawnSync(process.execPath, ['--max-semi-space-size=1', '--input-type=module', '-e', program], {
    cwd: fileURLToPath(built),
    encoding: 'utf8',
    timeout: 25_000,
    killSignal: 'SIGKILL',
  })
}

test.each(['ed25519', 'nistp256'])('making many %s keys never stands still', kind => {
  const { status, stdout } = underCollections(`
    import { generatePrivateNumbers } from '${built}signature.js'
    let made = 0
    for (; made < 600; made++) generatePrivateNumbers('${kind}')
    console.log(made)`)
  expect(stdout).toBe('600\n')
  expect(status).toBe(0)
})

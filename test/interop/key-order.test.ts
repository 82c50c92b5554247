import { execFileSync } from 'node:child_process'
import { mkdtempSync, renameSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Ran, runProgram } from '../support/listening.ts'
import { haveProgram } from '../support/programs.ts'
import { type RunningSshd, startSshd } from '../support/sshd.ts'

/** Which keys are tried, in which order and under which names: as ssh shows it, when it logs in, and by -Z. */

const tssh = fileURLToPath(new URL('../../bin/tssh.js', import.meta.url))

describe.skipIf(!haveProgram('sshd') || !haveProgram('ssh-agent'))('the order of keys', () => {
  let peer: RunningSshd
  let folder = ''
  let agent = 0
  const path = (name: string): string => join(folder, name)
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'tssh-order-'))
    const keygen = (...args: string[]): void => void execFileSync('ssh-keygen', ['-q', ...args])
    for (const name of ['certified', 'ca', 'held', 'public', 'other'])
      keygen('-t', 'ed25519', '-N', '', '-f', path(name))
    keygen('-t', 'ecdsa', '-N', '', '-f', path('ecdsa'))
    keygen('-s', path('ca'), '-I', 'somebody', '-n', 'nobody', path('certified.pub'))
    keygen('-t', 'ecdsa', '-m', 'PEM', '-N', 'locked up', '-f', path('locked'))
    rmSync(path('locked.pub'))
    const started = execFileSync('ssh-agent', ['-a', path('agent')], { encoding: 'utf8' })
    agent = Number(/SSH_AGENT_PID=(\d+)/.exec(started)?.[1])
    execFileSync('ssh-add', ['-q', ...['other', 'public', 'held'].map(path)], {
      env: { ...process.env, SSH_AUTH_SOCK: path('agent') },
      stdio: 'ignore',
    })
    renameSync(path('public'), path('elsewhere'))
    peer = await startSshd(['MaxAuthTries 20'])
  })
  afterAll(() => {
    peer?.close()
    if (agent) process.kill(agent)
    rmSync(folder, { recursive: true, force: true })
  })

  test.each([
    { options: ['IdentityFile=certified', 'IdentityFile=public', 'IdentityFile=missing', 'IdentityFile=held'] },
    { options: ['IdentityFile=certified', 'IdentityFile=locked', 'IdentityFile=held', 'IdentitiesOnly=yes'] },
    { options: ['IdentityFile=held', 'IdentityFile=certified', 'CertificateFile=certified-cert.pub'] },
    {
      options: [
        ...['IdentityFile=certified', 'IdentityFile=ecdsa', 'FingerprintHash=md5', 'IdentityAgent=none'],
        'PubkeyAcceptedAlgorithms=ecdsa-sha2-nistp256,ssh-ed25519-cert-v01@openssh.com',
      ],
    },
  ])('$options', async ({ options }) => {
    const all = [
      ...options.map(option => option.replace(/(?<=File=)/, `${folder}/`)),
      ...(options.some(option => option.startsWith('IdentityAgent')) ? [] : [`IdentityAgent=${path('agent')}`]),
      ...[`UserKnownHostsFile=${peer.knownHosts}`, 'GlobalKnownHostsFile=none', 'BatchMode=yes'],
    ]
    const flags = ['-F', 'none', '-p', String(peer.port), ...all.flatMap(option => ['-o', option])]
    const run = (file: string, ...args: string[]): Promise<Ran> =>
      runProgram(file, [...args, ...flags, '127.0.0.1'], { env: { SSH_ASKPASS_REQUIRE: 'never' } })
    const [theirs, ours, listed] = await Promise.all([
      run('ssh', '-v'),
      run(process.execPath, tssh, '-v'),
      run(process.execPath, tssh, '-Z'),
    ])
    const said = ({ stderr }: Ran, what: string): string[] =>
      stderr.split(/\r?\n/).flatMap(line => (line.startsWith(`debug1: ${what}: `) ? [line.split(`${what}: `)[1]!] : []))
    const attempts = said(theirs, 'Will attempt key')
    expect(attempts.length).toBeGreaterThan(1)
    expect(listed.stdout.toString().split('\n')).toEqual([...attempts, ''])
    expect(listed.status).toBe(0)
    expect(said(ours, 'Will attempt key')).toEqual(attempts)
    expect(said(ours, 'Offering public key')).toEqual(said(theirs, 'Offering public key'))
    expect([ours.status, theirs.status]).toEqual([255, 255])
  })
})

import { execFileSync } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { fingerprint } from '../../lib/keys/fingerprint.ts'
import { type Listening, runProgram, startListening, testPassword } from '../support/listening.ts'
import { haveProgram, havePythonModule } from '../support/programs.ts'

/** Clients other than OpenSSH's, against our server. */

let peer: Listening
beforeAll(async () => {
  peer = await startListening()
})
afterAll(() => peer.close())

const sha256 = (data: Buffer): string => createHash('sha256').update(data).digest('hex')

describe.skipIf(!haveProgram('dbclient') || !haveProgram('dropbearconvert'))('dbclient', () => {
  test('logs in by key, runs a command, passes data and status', async () => {
    const key = join(peer.folder, 'dropbear_key')
    execFileSync('dropbearconvert', ['openssh', 'dropbear', peer.identity, key], { stdio: 'ignore' })
    const input = randomBytes(4 * 1024 * 1024)
    const ran = await runProgram(
      'dbclient',
      ['-y', '-y', '-i', key, '-p', String(peer.server.port), `${peer.user}@127.0.0.1`, 'cat; exit 5'],
      { input },
    )
    expect(ran.status).toBe(5)
    expect(sha256(ran.stdout)).toBe(sha256(input))
  })
})

describe.skipIf(!haveProgram('plink') || !haveProgram('puttygen'))('plink', () => {
  test('logs in by key, runs a command, passes data and status', async () => {
    const key = join(peer.folder, 'key.ppk')
    execFileSync('puttygen', [peer.identity, '-O', 'private', '-o', key], { stdio: 'ignore' })
    const input = randomBytes(4 * 1024 * 1024)
    const host = fingerprint(peer.hostKey.publicKey.blob)
    const ran = await runProgram(
      'plink',
      [
        '-batch',
        '-ssh',
        '-hostkey',
        host,
        '-i',
        key,
        '-P',
        String(peer.server.port),
        '-l',
        peer.user,
        '127.0.0.1',
        'cat; exit 5',
      ],
      { input },
    )
    expect(ran.status).toBe(5)
    expect(sha256(ran.stdout)).toBe(sha256(input))
  })

  test('logs in by password', async () => {
    const passwords = await startListening({
      authentication: () => ({
        authority: { password: async (_, password) => ({ accepted: password === testPassword }) },
      }),
    })
    const file = join(passwords.folder, 'password')
    writeFileSync(file, `${testPassword}\n`)
    const host = fingerprint(passwords.hostKey.publicKey.blob)
    const where = ['-P', String(passwords.server.port), '-l', passwords.user, '127.0.0.1']
    const ran = await runProgram('plink', ['-batch', '-ssh', '-hostkey', host, '-pwfile', file, ...where, 'echo works'])
    await passwords.close()
    expect(ran.stdout.toString()).toBe('works\n')
  })
})

describe.skipIf(!havePythonModule('asyncssh'))('asyncssh', () => {
  test('logs in by key and by password, runs commands at once', async () => {
    const script = `
import asyncssh, asyncio, sys
async def main():
    port, user, key, hosts, password = int(sys.argv[1]), *sys.argv[2:]
    async with asyncssh.connect('127.0.0.1', port, username=user, client_keys=[key], known_hosts=hosts, config=None, agent_path=None) as connection:
        results = await asyncio.gather(*(connection.run(f'cat; echo {i} >&2; exit {i}', input='x' * 100000) for i in range(8)))
        print([(r.exit_status, len(r.stdout), r.stderr.strip()) for r in results] == [(i, 100000, str(i)) for i in range(8)])
    async with asyncssh.connect('127.0.0.1', port, username=user, password=password, client_keys=None, known_hosts=hosts, config=None, agent_path=None) as connection:
        print((await connection.run('echo works')).stdout.strip())
asyncio.run(main())
`
    const args = [
      '-W',
      'ignore',
      '-c',
      script,
      String(peer.server.port),
      peer.user,
      peer.identity,
      peer.knownHosts,
      testPassword,
    ]
    const ran = await runProgram('/usr/bin/python3', args)
    expect(ran.stderr).toBe('')
    expect(ran.stdout.toString()).toBe('True\nworks\n')
  })
})

describe.skipIf(!havePythonModule('paramiko'))('paramiko', () => {
  test('logs in by key and by password', async () => {
    const script = `
import paramiko, sys
port, user, key, hosts, password = int(sys.argv[1]), *sys.argv[2:]
for login in (dict(key_filename=key), dict(password=password)):
    client = paramiko.SSHClient()
    client.load_host_keys(hosts)
    client.connect('127.0.0.1', port, user, allow_agent=False, look_for_keys=False, **login)
    stdin, stdout, stderr = client.exec_command('cat; exit 4')
    stdin.write('through')
    stdin.channel.shutdown_write()
    print(stdout.read().decode(), stdout.channel.recv_exit_status())
    client.close()
`
    const args = [
      '-W',
      'ignore',
      '-c',
      script,
      String(peer.server.port),
      peer.user,
      peer.identity,
      peer.knownHosts,
      testPassword,
    ]
    const ran = await runProgram('/usr/bin/python3', args)
    expect(ran.stderr).toBe('')
    expect(ran.stdout.toString()).toBe('through 4\nthrough 4\n')
  })
})

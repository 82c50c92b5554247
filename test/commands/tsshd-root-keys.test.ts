import { spawn, spawnSync } from 'node:child_process'
import { chmodSync, chownSync, existsSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { runProgram } from '../support/listening.ts'
import { haveProgram } from '../support/programs.ts'
import {
  addUser,
  canAddUsers,
  type RootServer,
  startRootServer,
  type TestUser,
  testFolder,
} from '../support/root-tsshd.ts'

/** Keys and forwarding of a user who is not the one that runs tsshd. */

describe.skipIf(!canAddUsers)('tsshd as root (with useradd, chpasswd and ssh)', { timeout: 60_000 }, () => {
  const folder = testFolder()
  let user: TestUser
  let publicKey: string
  const servers: RootServer[] = []
  const serve = async (...config: string[]): Promise<RootServer> => {
    const server = await startRootServer(folder, ['PasswordAuthentication no', ...config])
    servers.push(server)
    return server
  }
  beforeAll(() => {
    user = addUser(folder)
    publicKey = readFileSync(join(user.home, '.ssh/authorized_keys'), 'utf8')
  })
  afterAll(async () => {
    for (const server of servers) await server.close()
    user?.remove()
    rmSync(folder, { recursive: true, force: true })
  })
  const authorize = (options: string): void => user.write('.ssh/authorized_keys', `${options} ${publicKey}`)
  const letsIn = async (server: RootServer): Promise<boolean> =>
    (await server.ssh(user, ['echo in'])).stdout.toString() === 'in\n'

  describe('StrictModes', () => {
    let server: RootServer
    beforeAll(async () => {
      server = await serve()
      authorize('')
    })
    const path = (name: string): string => join(user.home, name)

    test('let nobody in while others may write to the file or a folder above it', async () => {
      expect(await letsIn(server)).toBe(true)
      for (const [name, mode, usual, kind] of [
        ['.ssh/authorized_keys', 0o620, 0o600, 'file'],
        ['.ssh', 0o770, 0o700, 'directory'],
        ['.', 0o777, 0o755, 'directory'],
      ] as const) {
        chmodSync(path(name), mode)
        expect(await letsIn(server)).toBe(false)
        await server.logged(new RegExp(`Authentication refused: bad ownership or modes for ${kind} ${path(name)}`))
        chmodSync(path(name), usual)
        expect(await letsIn(server)).toBe(true)
      }
    })

    test('follow a link to where the keys really are, and care for owners', async () => {
      rmSync(path('.ssh/authorized_keys'))
      user.write('open/keys', publicKey)
      chmodSync(path('open'), 0o777)
      symlinkSync(path('open/keys'), path('.ssh/authorized_keys'))
      expect(await letsIn(server)).toBe(false)
      chmodSync(path('open'), 0o700)
      expect(await letsIn(server)).toBe(true)
      chownSync(path('open/keys'), 12345, 12345)
      chmodSync(path('open/keys'), 0o644)
      expect(await letsIn(server)).toBe(false)
      chownSync(path('open/keys'), 0, 0)
      expect(await letsIn(server)).toBe(true)
      rmSync(path('.ssh/authorized_keys'))
      rmSync(path('open'), { recursive: true })
    })

    test('a file that the user cannot read says nothing', async () => {
      writeFileSync(path('.ssh/authorized_keys'), publicKey, { mode: 0o600 })
      expect(await letsIn(server)).toBe(false)
      chmodSync(path('.ssh/authorized_keys'), 0o644)
      expect(await letsIn(server)).toBe(true)
      rmSync(path('.ssh/authorized_keys'))
    })
  })

  test('commands of keys run as their own user, with nothing of the server’s environment', async () => {
    const [keys, seen] = [join(folder, `${user.name}.keys`), join(folder, 'seen')]
    writeFileSync(seen, '')
    chmodSync(seen, 0o666)
    const server = await serve(
      'AuthorizedKeysFile none',
      `AuthorizedKeysCommand /bin/sh -c "(id -un; env) > ${seen}; cat ${folder}/%u.keys"`,
      'AuthorizedKeysCommandUser nobody',
    )
    writeFileSync(keys, publicKey, { mode: 0o600 })
    // Root could read it; nobody cannot.
    expect(await letsIn(server)).toBe(false)
    chmodSync(keys, 0o644)
    expect(await letsIn(server)).toBe(true)
    const [name, ...variables] = readFileSync(seen, 'utf8').trim().split('\n')
    expect(name).toBe('nobody')
    const names = variables
      .map(line => line.split('=')[0]!)
      .filter(each => !['PWD', 'OLDPWD', '_', 'SHLVL'].includes(each))
    expect(names.filter(each => each !== 'LANG').sort()).toEqual(['HOME', 'LOGNAME', 'PATH', 'USER'])
  })

  test('no-user-rc keeps ~/.ssh/rc from running', async () => {
    const server = await serve()
    user.write('.ssh/rc', 'echo rc\n')
    const outputs: string[] = []
    for (const options of ['', 'no-user-rc', 'restrict', 'restrict,user-rc']) {
      authorize(options)
      outputs.push((await server.ssh(user, ['echo done'])).stdout.toString())
    }
    expect(outputs).toEqual(['rc\ndone\n', 'done\n', 'done\n', 'rc\ndone\n'])
    rmSync(join(user.home, '.ssh/rc'))
  })

  test('listening on ports below 1024 is refused to who is not root', async () => {
    const first = Number(readFileSync('/proc/sys/net/ipv4/ip_unprivileged_port_start', 'utf8'))
    const server = await serve()
    authorize('')
    const bind = async (port: number): Promise<unknown> =>
      (await server.ssh(user, ['true'], {}, ['-o', 'ExitOnForwardFailure=yes', '-R', `${port}:127.0.0.1:1`])).status
    if (first > 7) expect(await bind(7)).toBe(255)
    expect(await bind(0)).toBe(0)
  })

  test('sockets are the user’s: of the agent and of forwardings', async () => {
    const server = await serve()
    authorize('')
    const agentPath = join(folder, 'agent')
    const agent = haveProgram('ssh-agent')
      ? spawn('ssh-agent', ['-D', '-a', agentPath], { stdio: 'ignore' })
      : undefined
    try {
      for (let tries = 0; agent && !existsSync(agentPath) && tries < 100; tries++)
        await new Promise(resolve => setTimeout(resolve, 20))
      if (agent) {
        const script = 'stat -c "%U %a" "$SSH_AUTH_SOCK"; dirname "$SSH_AUTH_SOCK"; ssh-add -l'
        const ran = await runProgram('ssh', [
          ...['-A', '-F', 'none', '-p', String(server.port), '-l', user.name, '-i', user.identity],
          ...['-o', `IdentityAgent=${agentPath}`, '-o', 'BatchMode=yes'],
          ...['-o', `UserKnownHostsFile=${join(folder, `${server.port}.known_hosts`)}`],
          ...['127.0.0.1', script],
        ])
        expect(ran.stdout.toString()).toBe(`${user.name} 600\n${user.home}/.ssh/agent\nThe agent has no identities.\n`)
      }
      const there = join(user.home, 'there')
      const ran = await server.ssh(user, [`stat -c "%U %a" ${there}`], {}, ['-R', `${there}:127.0.0.1:1`])
      expect(ran.stdout.toString()).toBe(`${user.name} 600\n`)
      const rootOnly = join(folder, 'root-only')
      const denied = await server.ssh(user, ['true'], {}, [
        '-o',
        'ExitOnForwardFailure=yes',
        '-R',
        `${rootOnly}:127.0.0.1:1`,
      ])
      expect(denied.status).toBe(255)
      expect(existsSync(rootOnly)).toBe(false)
    } finally {
      agent?.kill()
    }
  })

  test('the files of a user are read with that user’s groups', async () => {
    const group = `tsshg${Math.random().toString(36).slice(2, 8)}`
    if (spawnSync('groupadd', [group]).status !== 0) return
    spawnSync('usermod', ['-a', '-G', group, user.name])
    try {
      const shared = join(folder, 'shared-keys')
      writeFileSync(shared, publicKey)
      spawnSync('chgrp', [group, shared])
      chmodSync(shared, 0o640)
      const server = await serve(`AuthorizedKeysFile ${shared}`, 'StrictModes no')
      expect(await letsIn(server)).toBe(true)
      chmodSync(shared, 0o600)
      expect(await letsIn(server)).toBe(false)
    } finally {
      spawnSync('groupdel', [group])
    }
  })
})

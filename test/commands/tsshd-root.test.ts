import { spawnSync } from 'node:child_process'
import { chmodSync, chownSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { runProgram, startListening } from '../support/listening.ts'
import { haveProgram } from '../support/programs.ts'
import {
  addUser,
  canAddUsers,
  type RootServer,
  startRootServer,
  type TestUser,
  testFolder,
} from '../support/root-tsshd.ts'
import { startSshd } from '../support/sshd.ts'

const havePam = existsSync('/etc/pam.d/common-auth')

describe.skipIf(!canAddUsers)('tsshd as root (with useradd, chpasswd and ssh)', { timeout: 60_000 }, () => {
  const folder = testFolder()
  let user: TestUser
  const servers: RootServer[] = []
  const serve = async (...config: string[]): Promise<RootServer> => {
    const server = await startRootServer(folder, config)
    servers.push(server)
    return server
  }
  // A service of our own: the system's may want what a container has not, and waits after a wrong password.
  const service = `tssh-test-${process.pid}`
  const pam = [`UsePAM yes`, `PAMServiceName ${service}`]
  beforeAll(() => {
    const rules = ['auth required pam_unix.so nodelay', 'account', 'password', 'session']
    const lines = rules.map(rule => (rule.includes(' ') ? rule : `${rule} required pam_unix.so`))
    if (havePam) writeFileSync(`/etc/pam.d/${service}`, `${lines.join('\n')}\n`)
    user = addUser(folder)
  })
  afterAll(async () => {
    for (const server of servers) await server.close()
    user?.remove()
    rmSync(`/etc/pam.d/${service}`, { force: true })
    rmSync(folder, { recursive: true, force: true })
  })

  describe('a login', () => {
    let server: RootServer
    beforeAll(async () => {
      server = await serve('AcceptEnv TSSH_*', 'SetEnv TSSH_SET=admin', 'ExposeAuthInfo yes')
    })

    test('runs as the user, with all the groups and nothing of root', async () => {
      const ran = await server.ssh(user, ['id; pwd; umask; cat /etc/shadow'])
      const id = spawnSync('id', [user.name], { encoding: 'utf8' }).stdout
      expect(ran.stdout.toString()).toBe(`${id}${user.home}\n0022\n`)
      expect(ran.stderr).toContain('Permission denied')
      // The process behind it cannot become root again either.
      const status = await server.ssh(user, ['grep -E "^(Uid|Gid|CapEff)" /proc/$PPID/status'])
      expect(status.stdout.toString()).toBe(
        `Uid:\t${Array(4).fill(user.uid).join('\t')}\nGid:\t${Array(4).fill(user.gid).join('\t')}\nCapEff:\t0000000000000000\n`,
      )
    })

    test('has the environment of sshd', async () => {
      const ran = await server.ssh(user, ['env; cat "$SSH_USER_AUTH"'], {}, [
        '-o',
        'SetEnv=TSSH_MINE=client NOT_TSSH=no LD_PRELOAD=no',
      ])
      const env = ran.stdout.toString()
      for (const line of [
        `HOME=${user.home}`,
        `USER=${user.name}`,
        `LOGNAME=${user.name}`,
        'SHELL=/bin/sh',
        'TSSH_SET=admin',
      ])
        expect(env.split('\n')).toContain(line)
      expect(env).toMatch(/^SSH_CONNECTION=127\.0\.0\.1 \d+ 127\.0\.0\.1 \d+$/m)
      expect(env).toMatch(/^publickey ssh-ed25519 AAAA/m)
      expect(env).toMatch(/^TSSH_MINE=client$/m)
      expect(env).not.toMatch(/^(NOT_TSSH|LD_PRELOAD)/m)
    })

    test('on a terminal belongs to the user', async () => {
      const ran = await server.ssh(user, ['stat -c %U "$(tty)"; test "$(tty)" = "$SSH_TTY" && echo same'], {}, ['-tt'])
      expect(ran.stdout.toString()).toBe(`${user.name}\r\nsame\r\n`)
    })

    test('of somebody else with that key is refused, as is one of nobody', async () => {
      const ran = await server.ssh({ ...user, name: 'nosuchuser' }, ['id'])
      expect(ran.status).toBe(255)
      expect(ran.stderr).toContain('Permission denied (publickey,password).')
      await server.logged(/Invalid user nosuchuser from 127\.0\.0\.1 port \d+\n/)
      await server.logged(
        /Failed publickey for invalid user nosuchuser from 127\.0\.0\.1 port \d+ ssh2: ED25519 SHA256:/,
      )
      await server.logged(/Connection closed by invalid user nosuchuser 127\.0\.0\.1 port \d+ \[preauth\]/)
    })

    test('is logged as sshd does', async () => {
      await server.logged(
        new RegExp(`Accepted publickey for ${user.name} from 127\\.0\\.0\\.1 port \\d+ ssh2: ED25519 SHA256:`),
      )
      await server.logged(new RegExp(`Starting session: command for ${user.name} from 127\\.0\\.0\\.1 port \\d+ id 0`))
      await server.logged(/Received disconnect from 127\.0\.0\.1 port \d+:11: disconnected by user/)
      await server.logged(new RegExp(`Disconnected from user ${user.name} 127\\.0\\.0\\.1 port \\d+`))
    })

    test('ends with exit status or signal', async () => {
      expect((await server.ssh(user, ['exit 7'])).status).toBe(7)
      expect((await server.ssh(user, ['kill -KILL $$'])).status).toBe(255)
    })
  })

  describe('passwords', () => {
    test.each(havePam ? ['no', 'yes'] : ['no'])('with UsePAM %s', async usePam => {
      const server = await serve(...(usePam === 'yes' ? pam : ['UsePAM no']), 'PasswordAuthentication yes')
      const right = await server.withPassword(user, user.password, ['id -un'])
      expect(right.stderr).toBe('')
      expect(right.stdout.toString()).toBe(`${user.name}\n`)
      await server.logged(new RegExp(`Accepted password for ${user.name} from 127\\.0\\.0\\.1 port \\d+ ssh2\n`))
      const wrong = await server.withPassword(user, 'wrong', ['id -un'])
      expect(wrong.status).toBe(255)
      await server.logged(new RegExp(`Failed password for ${user.name} from 127\\.0\\.0\\.1 port \\d+ ssh2\n`))
      const nobody = await server.withPassword('nosuchuser', 'x', ['id'])
      expect(nobody.stderr.replaceAll('nosuchuser', user.name)).toBe(wrong.stderr)
      await server.logged(/Failed password for invalid user nosuchuser from/)
      if (usePam === 'yes') {
        const asked = await server.withPassword(user, user.password, ['id -un'], 'keyboard-interactive')
        expect(asked.stdout.toString()).toBe(`${user.name}\n`)
        await server.logged(new RegExp(`Accepted keyboard-interactive/pam for ${user.name} from`))
        expect((await server.withPassword(user, 'wrong', ['id'], 'keyboard-interactive')).status).toBe(255)
        // A key alone passes PAM's account rules.
        expect((await server.ssh(user, ['id -un'])).stdout.toString()).toBe(`${user.name}\n`)
      }
    })

    test('that expired let nobody work before it is changed', async () => {
      const late = addUser(folder)
      try {
        spawnSync('chage', ['-d', '0', late.name])
        const server = await serve()
        const ran = await server.withPassword(late, late.password, ['id'])
        expect(ran.status).toBe(1)
        expect(ran.stderr).toBe('WARNING: Your password has expired.\nPassword change required but no TTY available.\n')
        await server.logged(/password has expired \(root forced\)/)
        spawnSync('usermod', ['-L', late.name])
        expect((await server.ssh(late, ['id'])).status).toBe(255)
        await server.logged(new RegExp(`User ${late.name} not allowed because account is locked`))
        spawnSync('usermod', ['-U', '-e', '1', late.name])
        expect((await server.ssh(late, ['id'])).status).toBe(255)
        await server.logged(new RegExp(`Account ${late.name} has expired`))
      } finally {
        late.remove()
      }
    })

    test.skipIf(!havePam)('that expired are changed in the conversation of PAM', async () => {
      const late = addUser(folder)
      try {
        spawnSync('chage', ['-d', '0', late.name])
        const server = await serve(...pam)
        const fresh = 'Quite-Another-1'
        const answers = `case "$1" in *urrent*) echo '${late.password}';; *ew*) echo '${fresh}';; *) echo '${late.password}';; esac`
        const ran = await server.withAskpass(late, answers, ['id -un'], 'keyboard-interactive')
        expect(ran.stdout.toString()).toBe(`${late.name}\n`)
        expect((await server.withPassword(late, fresh, ['id -un'])).stdout.toString()).toBe(`${late.name}\n`)
      } finally {
        late.remove()
      }
    })

    test('that are empty count with PermitEmptyPasswords alone', async () => {
      const open = addUser(folder)
      try {
        spawnSync('passwd', ['-d', open.name])
        const shut = await serve()
        expect((await shut.withPassword(open, '', ['id'])).status).toBe(255)
        const server = await serve('PermitEmptyPasswords yes')
        expect((await server.ssh(open.name, ['id -un'])).stdout.toString()).toBe(`${open.name}\n`)
        await server.logged(new RegExp(`Accepted none for ${open.name} from`))
        expect((await server.ssh(user.name, ['id -un'])).status).toBe(255)
      } finally {
        open.remove()
      }
    })

    test.skipIf(!haveProgram('sshd'))(
      'that are empty need nobody who types, with either client and server',
      async () => {
        const open = addUser(folder)
        const rules = ['PermitEmptyPasswords yes', 'PasswordAuthentication yes']
        const theirs = await startSshd(rules)
        // A server that takes an empty password, but not the lack of one.
        const asking = await startListening({
          authentication: () => ({ authority: { password: async (_user, secret) => ({ accepted: secret === '' }) } }),
        })
        try {
          spawnSync('passwd', ['-d', open.name])
          const askpass = join(folder, 'empty-answer')
          writeFileSync(askpass, '#!/bin/sh\necho\n', { mode: 0o755 })
          const options = ['StrictHostKeyChecking=no', 'UserKnownHostsFile=/dev/null', 'NumberOfPasswordPrompts=1']
          const flags = ['-F', 'none', '-l', open.name, ...options.flatMap(option => ['-o', option])]
          const tssh = fileURLToPath(new URL('../../bin/tssh.js', import.meta.url))
          const ports = [
            ...[theirs.port, (await serve(...rules)).port].map(port => ({ port, require: 'never' })),
            { port: asking.server.port, require: 'force' },
          ]
          for (const { port, require } of ports) {
            for (const [file, ...args] of [['ssh'], [process.execPath, tssh]] as const) {
              const ran = await runProgram(file, [...args, ...flags, '-p', String(port), '127.0.0.1', 'exit 7'], {
                env: { SSH_ASKPASS: askpass, SSH_ASKPASS_REQUIRE: require, DISPLAY: ':0', SSH_AUTH_SOCK: '' },
              })
              expect([ran.status, require], ran.stderr).toEqual([7, require])
            }
          }
        } finally {
          theirs.close()
          await asking.close()
          open.remove()
        }
      },
    )

    test('and keys together (AuthenticationMethods)', async () => {
      const server = await serve('AuthenticationMethods publickey,password')
      expect((await server.ssh(user, ['id'])).stderr).toContain('Permission denied (password).')
      expect((await server.withPassword(user, user.password, ['id'])).stderr).toContain(
        'Permission denied (publickey).',
      )
      await server.logged(/Partial publickey for/)
    })
  })

  describe('who may log in', () => {
    test.each([
      ['AllowUsers nobody', 'not allowed because not listed in AllowUsers'],
      ['DenyUsers tssht*', 'not allowed because listed in DenyUsers'],
      ['DenyUsers tssht*@127.0.0.0/8', 'not allowed because listed in DenyUsers'],
      ['AllowUsers tssht*@10.0.0.0/8', 'not allowed because not listed in AllowUsers'],
      ['AllowGroups root', "not allowed because none of user's groups are listed in AllowGroups"],
      ['DenyGroups tssht*', 'not allowed because a group is listed in DenyGroups'],
    ])('%s', async (line, reason) => {
      const server = await serve(line)
      const ran = await server.ssh(user, ['id'])
      expect(ran.status).toBe(255)
      expect(ran.stderr).toContain('Permission denied (publickey,password).')
      await server.logged(new RegExp(`User ${user.name} from 127\\.0\\.0\\.1 ${reason}`))
    })

    test('allowed by user and address, with rules of a Match block', async () => {
      const server = await serve(
        'AllowUsers tssht*@127.0.0.1',
        'PasswordAuthentication no',
        'Banner none',
        `Match User ${user.name} LocalPort 1`,
        'ForceCommand echo wrong block',
        `Match User ${user.name} Address 127.0.0.0/8`,
        'ForceCommand echo "forced: $SSH_ORIGINAL_COMMAND"',
      )
      const ran = await server.ssh(user, ['id'])
      expect(ran.stdout.toString()).toBe('forced: id\n')
      await server.logged(/Starting session: forced-command \(config\) 'echo "forced: \$SSH_ORIGINAL_COMMAND"' for/)
    })

    test('a shell that does not exist keeps a user out', async () => {
      const shellless = addUser(folder)
      try {
        spawnSync('usermod', ['-s', '/no/such/shell', shellless.name])
        const server = await serve()
        expect((await server.ssh(shellless, ['id'])).status).toBe(255)
        await server.logged(
          new RegExp(`User ${shellless.name} not allowed because shell /no/such/shell does not exist`),
        )
      } finally {
        shellless.remove()
      }
    })

    test('root by PermitRootLogin', async () => {
      const keys = join(folder, 'root_keys')
      writeFileSync(keys, readFileSync(join(user.home, '.ssh/authorized_keys')))
      const root = { ...user, name: 'root' }
      for (const [value, status] of [
        ['no', 255],
        ['forced-commands-only', 255],
        ['prohibit-password', 0],
        ['yes', 0],
      ] as const) {
        const settings = [`AuthorizedKeysFile ${keys}`, 'StrictModes no', 'SetEnv SHLVL=1']
        const server = await serve(`PermitRootLogin ${value}`, ...settings)
        const ran = await server.ssh(root, ['id -u'])
        expect(`${value} ${ran.status}`).toBe(`${value} ${status}`)
        if (status !== 0) await server.logged(/ROOT LOGIN REFUSED FROM 127\.0\.0\.1 port \d+/)
      }
    })

    test('nobody under RefuseConnection; too many tries end a connection', async () => {
      const closed = await serve('RefuseConnection yes')
      expect((await closed.ssh(user, ['id'])).status).toBe(255)
      await closed.logged(/administratively prohibited connection from 127\.0\.0\.1/)
      const strict = await serve('MaxAuthTries 1')
      const ran = await strict.withPassword(user, 'wrong', ['id'])
      expect(ran.stderr).toContain('Too many authentication failures')
      await strict.logged(new RegExp(`maximum authentication attempts exceeded for ${user.name} from 127\\.0\\.0\\.1`))
    })

    test('nobody for a while after too many failures (PerSourcePenalties)', async () => {
      const server = await serve('PerSourcePenalties authfail:20 min:15 invaliduser:20')
      expect((await server.withPassword(user, 'wrong', ['id'])).status).toBe(255)
      await server.logged(
        /ipv4: new 127\.0\.0\.1\/32 active penalty of 20\.000 seconds for penalty: failed authentication/,
      )
      expect((await server.ssh(user, ['id'])).status).toBe(255)
      await server.logged(
        /drop connection #0 from \[127\.0\.0\.1\]:\d+ on \[127\.0\.0\.1\]:\d+ penalty: failed authentication/,
      )
    })

    test('a banner and an addendum to the version are seen', async () => {
      writeFileSync(join(folder, 'banner'), 'Mind the gap\n')
      const server = await serve(
        'VersionAddendum for tests',
        `Match User ${user.name}`,
        `Banner ${join(folder, 'banner')}`,
      )
      const ran = await server.ssh(user, ['true'], {}, ['-v'])
      expect(ran.stderr).toContain('\nMind the gap\n')
      expect(ran.stderr).toMatch(/remote software version tssh_\S+ for tests/)
    })

    test('StrictModes and files of others keep keys from counting', async () => {
      const loose = addUser(folder)
      try {
        const server = await serve('PasswordAuthentication no')
        expect((await server.ssh(loose, ['true'])).status).toBe(0)
        chmodSync(join(loose.home, '.ssh'), 0o777)
        expect((await server.ssh(loose, ['true'])).status).toBe(255)
        await server.logged(/Authentication refused: bad ownership or modes for directory/)
        chmodSync(join(loose.home, '.ssh'), 0o700)
        // Root could read this file; the user cannot, and it is the user's rights that count.
        chownSync(join(loose.home, '.ssh/authorized_keys'), 0, 0)
        chmodSync(join(loose.home, '.ssh/authorized_keys'), 0o600)
        expect((await server.ssh(loose, ['true'])).status).toBe(255)
      } finally {
        loose.remove()
      }
    })
  })

  describe('sessions', () => {
    test('~/.ssh/rc and ~/.ssh/environment when they are permitted', async () => {
      user.write('.ssh/rc', 'echo "rc ran as $(id -un)"\n')
      user.write('.ssh/environment', '# comment\nTSSH_FILE=from file\nTSSH_OTHER=x\n')
      try {
        const open = await serve('PermitUserEnvironment TSSH_F*')
        const ran = await open.ssh(user, ['echo "$TSSH_FILE|$TSSH_OTHER"'])
        expect(ran.stdout.toString()).toBe(`rc ran as ${user.name}\nfrom file|\n`)
        const shut = await serve('PermitUserRC no')
        expect((await shut.ssh(user, ['echo "$TSSH_FILE|"'])).stdout.toString()).toBe('|\n')
      } finally {
        rmSync(join(user.home, '.ssh/rc'))
        rmSync(join(user.home, '.ssh/environment'))
      }
    })

    test.skipIf(!haveProgram('sftp'))('ChrootDirectory with internal-sftp', async () => {
      const jail = join('/srv', `tssh-jail-${process.pid}`)
      mkdirSync(join(jail, 'data'), { recursive: true })
      chownSync(join(jail, 'data'), user.uid, user.gid)
      writeFileSync(join(jail, 'readme'), 'in the jail\n')
      try {
        const server = await serve(
          `ChrootDirectory ${jail}`,
          'ForceCommand internal-sftp -u 077',
          'Subsystem sftp internal-sftp',
        )
        const batch = join(folder, 'batch')
        writeFileSync(
          batch,
          `pwd\nls /\nput ${batch} data/put\nget readme ${folder}/got\n-get /etc/passwd ${folder}/no\n`,
        )
        const ran = await runProgram('sftp', [
          ...['-F', 'none', '-P', String(server.port), '-i', user.identity, '-b', batch],
          ...['UserKnownHostsFile=/dev/null', 'StrictHostKeyChecking=no', 'IdentityAgent=none'].flatMap(o => ['-o', o]),
          `${user.name}@127.0.0.1`,
        ])
        expect(`${ran.status} ${ran.stderr}`).toMatch(/^0 /)
        expect(ran.stdout.toString()).toMatch(/Remote working directory: \/\n/)
        expect(readFileSync(`${folder}/got`, 'utf8')).toBe('in the jail\n')
        expect(statSync(join(jail, 'data/put'))).toMatchObject({ uid: user.uid, gid: user.gid, mode: 0o100600 })
        expect(ran.stderr).toContain('"/etc/passwd" not found')
        const shell = await server.ssh(user, ['id'])
        expect(shell.status).toBe(1)
        expect(shell.stdout.toString() + shell.stderr).toContain('This service allows sftp connections only.')
        chmodSync(jail, 0o777)
        expect((await server.ssh(user, ['id'])).status).toBe(255)
        await server.logged(/bad ownership or modes for chroot directory "/)
      } finally {
        rmSync(jail, { recursive: true, force: true })
      }
    })

    test('ClientAliveInterval, ChannelTimeout and UnusedConnectionTimeout end what is idle', async () => {
      const server = await serve('ChannelTimeout session:command=1', 'UnusedConnectionTimeout 1')
      const idle = await server.ssh(user, ['sleep 20'])
      expect(idle.status).toBe(255)
      await server.logged(/channel 0 \(session:command\) timed out after 1 seconds/)
      const empty = await server.ssh(user, [], {}, ['-N'])
      expect(empty.status).toBe(255)
      await server.logged(new RegExp(`terminating inactive connection from user ${user.name} 127\\.0\\.0\\.1`))
    })

    test('LoginGraceTime ends a client that does not log in, and others are served meanwhile', async () => {
      const server = await serve('LoginGraceTime 6')
      const { connect } = await import('node:net')
      const silent = connect(server.port, '127.0.0.1')
      const closed = new Promise<void>(resolve => silent.on('close', () => resolve()))
      silent.resume()
      expect((await server.ssh(user, ['id -un'])).stdout.toString()).toBe(`${user.name}\n`)
      await closed
      await server.logged(/Timeout before authentication for connection from 127\.0\.0\.1/)
    })
  })
})

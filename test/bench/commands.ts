/** Sections of `npm run bench`: how long a command takes to start, and to run `true` on a host. */
import { fixed, interleave, median, table, timed } from './measure.ts'
import { availableClients, clientCommand, type Ground, withServers } from './peers.ts'

export interface StartRow {
  readonly name: string
  readonly milliseconds: number
}

/** The start of each command, beside that of ssh and of Node alone. */
export async function start(_ground: Ground, quick: boolean): Promise<StartRow[]> {
  const programs = ['tssh', 'tsshd', 'tsftp', 'tscp', 'tssh-keygen', 'tssh-agent', 'tssh-add']
  const contestants = new Map<string, () => Promise<number>>([
    ['ssh -V', async () => (await timed(['ssh', '-V'])).wall],
    ['node -e 0', async () => (await timed([process.execPath, '-e', '0'])).wall],
    ...programs.flatMap((name): [string, () => Promise<number>][] =>
      ['-V', '--help'].map(flag => [
        `${name} ${flag}`,
        async () => (await timed(['/bin/sh', '-c', `"${process.execPath}" bin/${name}.js ${flag} || true`])).wall,
      ]),
    ),
  ])
  const taken = await interleave(contestants, quick ? 3 : 11)
  const rows = [...taken].map(([name, walls]) => ({ name, milliseconds: median(walls) * 1000 }))
  const cells = rows.map(row => [row.name, fixed(row.milliseconds, 0)])
  console.log(`\n## Start of commands\n\n${table(['command', 'ms'], cells)}`)
  return rows
}

export interface ExecRow {
  readonly kex: string
  readonly client: string
  readonly milliseconds: number
  readonly ratio: number
}

/** `client host true`, every client against sshd. */
export async function exec(ground: Ground, quick: boolean): Promise<ExecRow[]> {
  const rows: ExecRow[] = []
  await withServers(['sshd'], ground, async servers => {
    const server = servers.get('sshd')
    if (!server) return
    for (const kex of ['curve25519-sha256', 'sntrup761x25519-sha512@openssh.com']) {
      const clients = availableClients().filter(name => kex.startsWith('curve') || name === 'ssh' || name === 'tssh')
      const contestants = new Map(
        clients.map(client => [
          client as string,
          async () => (await timed(clientCommand[client](ground, server.port, { kex }, 'true'))).wall,
        ]),
      )
      const taken = await interleave(contestants, quick ? 5 : 21)
      const ssh = median(taken.get('ssh') ?? [])
      for (const [client, walls] of taken) {
        rows.push({ kex, client, milliseconds: median(walls) * 1000, ratio: median(walls) / ssh })
      }
    }
  })
  const cells = rows.map(row => [row.kex, row.client, fixed(row.milliseconds, 0), fixed(row.ratio)])
  console.log(`\n## client host true, against sshd\n\n${table(['kex', 'client', 'ms', 'time / ssh'], cells)}`)
  return rows
}

// The tools of the server. A server is made for each session.
import { setTimeout as pause } from 'node:timers/promises'

import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { z } from 'zod'

const text = (content) => ({ content: [{ type: 'text', text: content }] })

// scopeOf says what a tool needs beyond orders:read.
export function scopeOf(tool) {
  return tool === 'cancel_order' ? ['orders:write'] : []
}

export function makeServer() {
  const server = new McpServer({ name: 'orders', version: '1.0.0' }, { capabilities: { logging: {} } })
  const steps = new Map() // step → the function that says it was seen

  server.registerTool('read_order', { inputSchema: { id: z.string() } },
    ({ id }, { authInfo }) => text(`order ${id} for ${authInfo.extra.sub}`))

  server.registerTool('cancel_order', { inputSchema: { id: z.string() } },
    ({ id }, { authInfo }) => text(`order ${id} cancelled by ${authInfo.extra.sub}`))

  // count tells of each step and goes on only when the client has seen it: what
  // is held back anywhere between them stops it for good.
  server.registerTool('count', { inputSchema: { steps: z.number().int().max(10) } }, async (input, extra) => {
    for (let step = 1; step <= input.steps; step++) {
      const seen = new Promise((resolve) => { steps.set(step, resolve) })
      await extra.sendNotification({
        method: 'notifications/progress',
        params: { progressToken: extra._meta.progressToken, progress: step, total: input.steps },
      })
      await seen
      await pause(1000)
    }
    return text(`counted to ${input.steps}`)
  })
  server.registerTool('saw', { inputSchema: { step: z.number() } }, ({ step }) => {
    steps.get(step)?.()
    return text('thanks')
  })

  // announce speaks on the stream that the client opened with GET.
  server.registerTool('announce', {}, async () => {
    await server.server.sendLoggingMessage({ level: 'info', data: 'announced' })
    return text('done')
  })
  return server
}

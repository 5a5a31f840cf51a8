import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import { GpuWatch, gpuUtilizationRatio } from '../../src/fleet/gpu.js'
import { parseMetrics } from '../../src/fleet/prometheus.js'

const NAMES = new Set(['DCGM_FI_DEV_GPU_UTIL', 'DCGM_FI_PROF_GR_ENGINE_ACTIVE'])
const ratio = (text: string, gpus?: readonly string[]) => gpuUtilizationRatio(parseMetrics(text, NAMES), gpus)
const EXPORTED = `# HELP DCGM_FI_DEV_GPU_UTIL GPU utilization (in %).
# TYPE DCGM_FI_DEV_GPU_UTIL gauge
DCGM_FI_DEV_GPU_UTIL{gpu="0",UUID="GPU-aa",device="nvidia0",modelName="NVIDIA H100",Hostname="h"} 100
DCGM_FI_DEV_GPU_UTIL{gpu="1",UUID="GPU-bb",device="nvidia1",modelName="NVIDIA H100",Hostname="h"} 50
DCGM_FI_DEV_FB_USED{gpu="0",UUID="GPU-aa"} 1000
`

t.test('utilisation is the mean of the GPUs that are meant', async (t) => {
  t.equal(ratio(EXPORTED), 0.75)
  t.equal(ratio(EXPORTED, ['1']), 0.5)
  t.equal(ratio(EXPORTED, ['GPU-aa']), 1)
  t.equal(ratio(EXPORTED, ['7']), undefined, 'unknown, not zero')
  t.equal(ratio('DCGM_FI_PROF_GR_ENGINE_ACTIVE{gpu="0",GPU_I_ID="1"} 0.25\nDCGM_FI_PROF_GR_ENGINE_ACTIVE{gpu="0",GPU_I_ID="2"} 0.75\n'), 0.5, 'partitions have a ratio')
  t.equal(ratio('DCGM_FI_DEV_GPU_UTIL{gpu="0"} 1e300\n'), 1)
  t.equal(ratio('something_else 1\n'), undefined)
})

t.test('an exporter is read; one that fails or grows old says nothing', async (t) => {
  let status = 200
  const paths: (string | undefined)[] = []
  const server = createServer((request, response) => {
    paths.push(request.url)
    response.writeHead(status).end(EXPORTED)
  })
  await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve) })
  t.teardown(() => { server.closeAllConnections(); server.close() })
  let nowMs = 0
  const watch = new GpuWatch({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/gpu/metrics`, gpus: ['0'] }, { now: () => nowMs })
  t.teardown(() => watch.close())
  t.equal(watch.ratio(5000), undefined)
  await watch.read(2000)
  t.equal(watch.ratio(5000), 1)
  t.same(paths, ['/gpu/metrics'])
  status = 500
  nowMs = 4000
  await watch.read(2000)
  t.equal(watch.ratio(5000), 1, 'the last good reading stays for a while')
  nowMs = 5001
  t.equal(watch.ratio(5000), undefined)
  const nobody = new GpuWatch({ url: 'http://127.0.0.1:1/metrics' }, { now: () => nowMs })
  t.teardown(() => nobody.close())
  await nobody.read(2000)
  t.equal(nobody.ratio(5000), undefined)
})

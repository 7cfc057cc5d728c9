import time
def test_x(done, finished):
    print(finished[1])
    for c in [(), ("optimizer.lr=0.2",), ("seed=4",)]:
        t=time.time(); r=done.run(*c); print(time.time()-t, {n:(s["outcome"],s["seconds"],s["reasons"]) for n,s in r["stages"].items()})
    t=time.time(); r=done.plan("optimizer.lr=0.3"); print(time.time()-t, r)

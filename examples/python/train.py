"""Compares three losses on long-tailed Fashion-MNIST, like script/demo.

The data: `apt-get install dataset-fashion-mnist`.
"""

import gzip

import numpy as np
import torch

import ulmus


def read(name, offset):
    return np.frombuffer(gzip.open(f"/usr/share/datasets/fashion-mnist/{name}-ubyte.gz").read(), np.uint8, offset=offset)


x, x_test = (torch.tensor(read(f"{part}-images-idx3", 16).reshape(-1, 1, 28, 28)) / 255 for part in ("train", "t10k"))
y, y_test = (torch.tensor(read(f"{part}-labels-idx1", 8)).long() for part in ("train", "t10k"))
chosen = ulmus.make_long_tailed(y, "exp:100", seed=0)  # 14,886 of 60,000 images, classes from 6,000 down to 60
x, y, counts = x[chosen], y[chosen], y[chosen].bincount()
epochs, steps = 8, len(y) // 128
for spec in ("ce", "ldam+drw", "elm:lambda=0.5+drw"):
    torch.manual_seed(0)
    loss = ulmus.Loss(spec, class_counts=counts)
    model = ulmus.models.make_model("conv3", channels=1, classes=10, head=loss.head)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=2e-4)
    rate = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * steps)
    for epoch in range(epochs):
        loss.set_epoch(epoch, epochs)
        for batch in torch.randperm(len(y))[: steps * 128].split(128):
            optimizer.zero_grad()
            loss(model(x[batch]), y[batch]).backward()
            optimizer.step()
            rate.step()
    with torch.no_grad():
        logits = torch.cat([model.eval()(part) for part in x_test.split(1000)])
    result = ulmus.metrics.evaluate(logits, y_test, counts, scale=loss.scale)
    print(f"{spec:20} balanced accuracy {result['balanced_accuracy']:.3f}, worst class {result['worst_class']:.3f}")

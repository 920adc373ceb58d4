"""A plain PyTorch loop on imbalanced data. Ulmus needs only the two marked lines."""

import torch

import ulmus  # 1: new

torch.manual_seed(0)
counts = [2000, 200, 20]
x = torch.cat([torch.randn(n, 2) + 2 * torch.tensor([c, c % 2]) for c, n in enumerate(counts)])
y = torch.repeat_interleave(torch.arange(3), torch.tensor(counts))

model = torch.nn.Sequential(torch.nn.Linear(2, 32), torch.nn.ReLU(), torch.nn.Linear(32, 3))
criterion = ulmus.Loss("la", class_counts=counts)  # 2: was torch.nn.CrossEntropyLoss()
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)

for epoch in range(10):
    for batch in torch.randperm(len(y)).split(128):
        optimizer.zero_grad()
        criterion(model(x[batch]), y[batch]).backward()
        optimizer.step()

predicted = model(x).argmax(1)
print([round((predicted[y == c] == c).float().mean().item(), 3) for c in range(3)])

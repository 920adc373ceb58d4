/* The Enlarged Large Margin loss from C: loss and gradient of two samples over three classes.
 *
 *     cc loss.c -lulmus -o loss && ./loss
 */
#include <stdio.h>
#include <ulmus/c.h>

static int report(const char* what) {
  fprintf(stderr, "%s: %s\n", what, ulmus_last_error());
  return 1;
}

int main(void) {
  const int64_t class_counts[3] = {5000, 500, 50};
  ulmus_loss* loss = NULL;
  if (ulmus_loss_create("elm:lambda=0.5", class_counts, 3, &loss) != ULMUS_OK) return report("ulmus_loss_create");

  const char* text = NULL;
  double scale = 0;
  if (ulmus_loss_text(loss, &text) != ULMUS_OK || ulmus_loss_scale(loss, &scale) != ULMUS_OK) return report("query");
  printf("ulmus %s, loss %s, scale %g\n", ulmus_version(), text, scale);

  float cosines[2][3] = {{0.8f, 0.1f, 0.3f}, {0.4f, 0.5f, 0.45f}};
  const int64_t labels[2] = {0, 2};
  double losses[2], mean = 0;
  ulmus_batch batch = {0};
  batch.struct_size = sizeof batch;
  batch.dtype = ULMUS_F32;
  batch.n = 2;
  batch.logits = cosines;
  batch.gradient = cosines; /* in place: the gradient overwrites the logits */
  batch.labels = labels;
  batch.losses = losses;
  batch.reduction = ULMUS_MEAN;
  const ulmus_status status = ulmus_loss_run(loss, &batch, &mean);
  ulmus_loss_free(loss);
  if (status != ULMUS_OK) return report("ulmus_loss_run");

  printf("loss %.6f: %.6f and %.6f\n", mean, losses[0], losses[1]);
  for (int i = 0; i < 2; ++i) printf("gradient %9.6f %9.6f %9.6f\n", cosines[i][0], cosines[i][1], cosines[i][2]);
  return 0;
}

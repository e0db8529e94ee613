// Added to Orthanc Explorer's study page by plugin.py.
$('#study').live('pagebeforeshow', function() {
  if (!$.mobile.pageData) return;
  var id = $.mobile.pageData.uuid;
  var results = $('<a>').attr({'data-role': 'button', 'data-icon': 'search', href: '../curia/studies/' + id, rel: 'external'})
    .text('Curia: results (research)');
  var run = $('<a>').attr({'data-role': 'button', 'data-icon': 'gear', href: '#'}).text('Curia: run (research)');
  run.click(function() {
    $.post('../curia/studies/' + id + '/run')
      .done(function() { location.href = '../curia/worklist'; })
      .fail(function(answer) { alert('Curia: ' + answer.responseText); });
    return false;
  });
  $('#curia').remove();
  $('<div>').attr('id', 'curia').append(results).append(run).insertAfter($('#study-info'));
  $('#curia a').buttonMarkup();
});
